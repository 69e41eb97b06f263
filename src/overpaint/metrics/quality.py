"""How good pictures are of themselves: CLIP score and Fréchet distance, computed by torchmetrics.

Hessel et al. 2021, "CLIPScore"; Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule".
torchmetrics is an optional dependency: ``pip install 'overpaint[quality]'``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from overpaint.errors import DataError, ModelError
from overpaint.models.clip import Clip, image_features, long_features, text_features


def clip_score(clip: Clip) -> Any:
    """A ``torchmetrics.multimodal.CLIPScore`` that asks ``clip``.

    ``update(pictures [n, 3, H, W] uint8, prompts)`` as often as you like, then ``compute()``: the
    mean of 100 cos, or 0 where that is below 0. ModelError without torchmetrics.
    """
    scorer = _Scorer(clip)
    return _torchmetrics("multimodal.clip_score").CLIPScore(lambda: (scorer, scorer.processed))


def frechet_distances(
    real: Iterable[Tensor], sets: Iterable[Iterable[Tensor]], extractor: nn.Module
) -> list[float]:
    """FID between real pictures and each of ``sets``, as torchmetrics' FrechetInceptionDistance.

    ``real`` and every set give batches ``[n, 3, H, W]`` uint8, of a size that ``extractor`` takes;
    it makes ``[n, num_features]`` of them: :class:`ImageTower`, :func:`inception` or any other. The
    distance is of Gaussians fitted to the features, so it falls with the number of pictures:
    compare only sets of equally many. DataError unless there are two pictures in each set, and
    for pictures that are in no batch; ModelError without torchmetrics.
    """
    metric = _torchmetrics("image.fid").FrechetInceptionDistance(
        feature=extractor, reset_real_features=False
    )
    counts = [_update(metric, real, real=True)]
    distances = []
    for painted in sets:
        metric.reset()  # keeps what it knows of the real ones
        counts.append(_update(metric, painted, real=False))
        if min(counts) < 2:
            raise DataError(
                "expected two real and two painted pictures at least, got "
                f"{counts[0]} and {counts[-1]}"
            )
        distances.append(max(metric.compute().item(), 0.0))  # rounding may go below 0
    return distances


@torch.no_grad()
def _update(metric: Any, batches: Iterable[Tensor], *, real: bool) -> int:
    count = 0
    for batch in batches:
        if batch.dim() != 4:
            raise DataError(f"expected batches of pictures [n, 3, H, W], got {[*batch.shape]}")
        metric.update(batch, real=real)
        count += len(batch)
    return count


class ImageTower(nn.Module):
    """A CLIP's image tower as an extractor: its features, with the length it gives them."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.num_features = clip.width
        self._clip = (clip,)  # in a tuple: no submodule, so nobody moves or copies the judge

    def forward(self, images: Tensor) -> Tensor:
        """``[n, num_features]`` of ``images [n, 3, H, W]``, uint8 or float in [0, 1]."""
        return long_features(self._clip[0], images)


def inception(weights: str | Path | None = None) -> nn.Module:
    """The Inception v3 of Heusel et al. as an extractor: 2048 features of uint8 pictures.

    ``weights`` is the file ``pt_inception-2015-12-05-6726825d.pth`` of torch-fidelity; by default
    that package fetches it. ModelError without the package or the weights.
    """
    fid = _torchmetrics("image.fid")
    try:
        extractor = fid.NoTrainInceptionV3(
            "inception-v3-compat", ["2048"], None if weights is None else str(weights)
        )
    except ModuleNotFoundError as error:
        raise ModelError(
            "expected torch-fidelity for FID with Inception, it is not installed; "
            "pip install torch-fidelity, or take the judge's image tower"
        ) from error
    except Exception as error:  # network, file, or what is in it
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ModelError(
            f"cannot load the weights of Inception: {reason}; check the network, give the file "
            "pt_inception-2015-12-05-6726825d.pth, or take the judge's image tower"
        ) from error
    extractor.num_features = 2048
    return extractor


class _Scorer(nn.Module):
    """What CLIPScore asks of a transformers CLIP, answered by ours."""

    config = None  # CLIPScore would cut long prompts to its limit; ours are refused instead

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self._clip = (clip,)

    def processed(
        self, *, images: list[Tensor] | None = None, text: list[str] | None = None, **_: Any
    ) -> dict[str, Tensor]:
        """In place of the processor; the features of prompts, as only it sees the words."""
        if images is not None:
            return {"pixel_values": torch.stack(images)}
        features = text_features(self._clip[0], text or [])
        return {"input_ids": features, "attention_mask": torch.ones(len(features), 1)}

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Unit features of pictures, where the pictures are."""
        return image_features(self._clip[0], pixel_values).to(pixel_values.device)

    def get_text_features(self, input_ids: Tensor, _attention_mask: Tensor) -> Tensor:
        """What :meth:`processed` has found."""
        return input_ids


def require_torchmetrics() -> None:
    """ModelError where torchmetrics, which CLIP score and FID need, is not installed."""
    _torchmetrics("metric")


def _torchmetrics(module: str) -> Any:
    try:
        return import_module(f"torchmetrics.{module}")
    except ImportError as error:
        raise ModelError(
            "expected torchmetrics for CLIP score and FID, it is not installed; "
            "pip install 'overpaint[quality]'"
        ) from error
