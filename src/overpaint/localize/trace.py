"""What causal tracing asks for and gives back."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from overpaint.errors import EditError
from overpaint.types import Sampling


@dataclass(frozen=True)
class TraceConfig(Sampling):
    """How components are traced.

    ``noise``  standard deviation of the noise, in those of the token embeddings (3: Meng et al.).
    ``seeds``  each gives the picture's noise and the corruption's.
    """

    noise: float = 3.0
    seeds: tuple[int, ...] = (0, 1, 2, 3)

    def __post_init__(self) -> None:
        """EditError for a setting out of its range."""
        super().__post_init__()
        if self.noise <= 0 or not self.seeds:
            raise EditError(f"expected noise above 0 and at least one seed, got {self}")
        if self.batch_size is not None and self.batch_size < 2:
            raise EditError(
                f"expected batches of at least 2 pictures, got {self.batch_size}: the clean one is "
                "painted beside those it restores"
            )


@dataclass(frozen=True, eq=False)
class Trace:
    """Average indirect effects, as a map.

    ``effects [rows, columns]`` float32: CLIP-Score with a component restored, less that of the
    corrupted run; NaN where there is no component. ``rows`` and ``columns`` name them. ``clean``
    and ``corrupted`` are the scores of the two runs, averaged like the effects.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    effects: torch.Tensor
    clean: float
    corrupted: float

    @property
    def best(self) -> tuple[str, str]:
        """Row and column of the largest effect."""
        row, column = divmod(int(self.effects.nan_to_num(-torch.inf).argmax()), len(self.columns))
        return self.rows[row], self.columns[column]
