"""Does a module really use the weight that was edited? One row through it tells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from overpaint.errors import PatchError
from overpaint.models.places import Place


@dataclass(frozen=True, eq=False)
class Probe:
    """What a module and its weight made of one row before an edit.

    Attributes:
        place: The module.
        row: ``[1, d_in]``, random.
        output: What the module gave for it, ``[1, d_out]``.
        product: ``row Wᵀ [1, d_out]``, float32.
    """

    place: Place
    row: Tensor
    output: Tensor
    product: Tensor

    @classmethod
    def of(cls, place: Place) -> Probe:
        """Send a row through the module, before its weight is changed."""
        weight = place.weight
        generator = torch.Generator().manual_seed(0)
        row = torch.randn(1, weight.shape[1], generator=generator).to(weight)
        return cls(place, row, _forward(place, row), linear(row.float(), weight.float()))

    def check(self) -> None:
        """Raise PatchError unless the module's output has changed as its weight has."""
        place, weight = self.place, self.place.weight
        wanted = linear(self.row.float(), weight.float()) - self.product
        output = _forward(place, self.row)
        found = output.float() - self.output.float()
        noise = 16 * torch.finfo(output.dtype).eps * float(output.float().norm())
        if not float((found - wanted).norm()) <= 0.1 * float(wanted.norm()) + noise:
            raise PatchError(
                f"expected {place.site.component} {place.site.name} to compute with the edited "
                f"weight, got the output of another one from its {type(place.outer).__name__}; "
                "take off what stands in its place (quantised, offloaded or fused "
                "layers, or a DoRA, which scales what it stands on)"
            )


def _forward(place: Place, row: Tensor) -> Tensor:
    # `forward` and not a call: what a user's hooks record or stop is none of the probe's business.
    return place.outer.forward(row)
