"""Models with several CLIP text encoders: all of them are edited, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from overpaint.errors import ModelError, SiteError
from overpaint.methods.registry import METHODS
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.weights import written_out
from overpaint.types import Edit

ROSE = Edit("a rose", "a blue rose")
QUICK: dict[str, Any] = {
    "layer": 1,
    "steps": 3,
    "epochs": 1,
    "contrast": 4,
    "learning_rate": 0.1,
    "penalty": 0.0,
    "covariance_weight": 0.0,
    "padding": False,
    "mentions": 0,
    "corpus": Corpus("few", tuple(f"a {n} {t}" for n in ("big", "old") for t in ("car", "cat"))),
}
OF_TOWERS = ("refact", "mass", "finetune", "diffquickfix")


def settings(method: str, **more: Any) -> Any:
    config = METHODS[method].config
    known = {k: v for k, v in QUICK.items() if k in config.__dataclass_fields__}
    return config(**{**known, **more})


@pytest.mark.parametrize("name", ["SDXL", "SD3"])
@pytest.mark.parametrize("method", OF_TOWERS)
def test_all_are_edited_each_by_itself(
    random_model: Callable[[str], Model], method: str, name: str
) -> None:
    model, edit = random_model(name), METHODS[method].function
    both = edit(model, [ROSE], settings(method))
    found = {delta.site.component: delta for delta in written_out(model, both.deltas)}
    assert list(found) == ["text_encoder", "text_encoder_2"]
    for component, delta in found.items():
        alone = edit(model, [ROSE], settings(method, component=component))
        (wanted,) = written_out(model, alone.deltas)
        assert wanted.site == delta.site
        assert torch.equal(wanted.dense(), delta.dense())
        assert delta.dense().norm() > 0
        if method != "diffquickfix":
            assert both.info[component] == alone.info


@pytest.mark.parametrize("method", OF_TOWERS)
def test_a_layer_that_no_picture_depends_on_is_refused(
    random_model: Callable[[str], Model], method: str
) -> None:
    """SDXL reads the last states but one of its first encoder: there, the last layer is idle."""
    model = random_model("SDXL")
    config = settings(method, layer=3, component="text_encoder")
    with pytest.raises(SiteError, match=r"SDXL does not use layer 3 of text_encoder|use 0 to 2"):
        METHODS[method].check(model, [ROSE], config)


@pytest.mark.parametrize("method", [*OF_TOWERS, "finetune-text"])
def test_other_text_encoders_have_no_mlp_of_clip(
    random_model: Callable[[str], Model], method: str
) -> None:
    with pytest.raises(ModelError, match="use time, uce or locoedit"):
        METHODS[method].check(random_model("PixArt-Sigma"), [ROSE], settings(method))
    if method == "finetune-text":
        with pytest.raises(ModelError, match=r"with one.*has 2; use finetune"):
            METHODS[method].check(random_model("SDXL"), [ROSE], settings(method))
    else:
        config = settings(method, component="text_encoder_3")
        with pytest.raises(ModelError, match="CLIP"):
            METHODS[method].check(random_model("SD3"), [ROSE], config)
