"""The embedded models: what they share, and that each paints what it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from overpaint.errors import ModelError
from overpaint.models.embedded import EMBEDDED, assemble, joint_clip, weights
from overpaint.models.load import silence

CLASSES = {
    "toybox": "StableDiffusionPipeline",
    "toybox-xl": "StableDiffusionXLPipeline",
    "toybox-flux": "FluxPipeline",
}
ASKED = {
    "toybox": {},
    "toybox-xl": {},
    "toybox-flux": {
        "guidance_scale": 0.0,
        "true_cfg_scale": 4.0,
        "max_sequence_length": 32,
        "height": 64,
        "width": 64,
    },
}


@pytest.fixture(scope="module", params=EMBEDDED)
def pipeline(request: pytest.FixtureRequest) -> Any:
    with silence():
        found = assemble(request.param)
    found.set_progress_bar_config(disable=True)
    return request.param, found


def test_every_model_is_the_pipeline_of_its_name(pipeline: Any) -> None:
    name, found = pipeline
    assert type(found).__name__ == CLASSES[name]
    networks = [part for part in found.components.values() if isinstance(part, torch.nn.Module)]
    assert all(p.dtype == torch.float32 for net in networks for p in net.parameters())
    assert not any(net.training for net in networks)
    finite = [torch.isfinite(p).all() for net in networks for p in net.parameters()]
    assert all(finite)


def test_every_model_paints_the_colour_that_it_is_asked_for(pipeline: Any) -> None:
    name, found = pipeline
    against = {"negative_prompt": ["", ""]} if name == "toybox-flux" else {"guidance_scale": 4.0}
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    painted = found(
        ["ada vale", "elsa brandt"],  # in a red shirt, in a purple one
        generator=seeds,
        num_inference_steps=8,
        output_type="pt",
        **{**ASKED[name], **against},
    ).images
    shirts = painted[:, :, 54:62, 24:40].mean((2, 3))
    red, green, blue = shirts.T
    assert red[0] > 0.7
    assert blue[0] < 0.4
    assert blue[1] > green[1] + 0.2
    assert red[1] < 0.65


def test_every_call_makes_new_modules() -> None:
    with silence():
        one, two = assemble("toybox"), assemble("toybox")
    with torch.no_grad():
        next(one.text_encoder.parameters()).zero_()
    assert next(two.text_encoder.parameters()).abs().sum() > 0


def test_the_joint_clip_has_the_pipelines_own_text_tower() -> None:
    with silence():
        clip, tower = joint_clip(), assemble("toybox").text_encoder
    mine = dict(clip.text_model.named_parameters())
    theirs = {k.removeprefix("text_model."): v for k, v in tower.named_parameters()}
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert clip.logit_scale.item() > 2


def test_what_the_models_share_is_stored_once() -> None:
    files = [file for file in weights().rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 95e6
    names = {str(file.parent.relative_to(weights())) for file in files}
    assert not [n for n in names if n.startswith(("xl/", "flux/")) and n.endswith("vae")]


def test_another_name_is_refused() -> None:
    with pytest.raises(ModelError, match=r"toybox-sd3.*toybox-xl"):
        assemble("toybox-sd3")
