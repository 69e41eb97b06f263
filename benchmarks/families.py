"""Which family of models can do what, found out by doing it.

Every cell of the table is run on a small random model of the true class: a picture is compared
with the pipeline's own, an edit has to change a picture and to come off bit for bit, a patch has to
survive its file, a LoRA has to do what the patch does. A cell that comes out otherwise than the
library says (``overpaint models``) is an error, and so is one that fails.

    python benchmarks/families.py --quick
    python benchmarks/families.py --json bench/families.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import keep

import overpaint as op
import random_models
from overpaint.errors import OverpaintError
from overpaint.methods.registry import METHODS
from overpaint.methods.support import capabilities, why_not
from overpaint.models.families.base import as_tensor
from overpaint.models.model import Model
from overpaint.types import Patch, Sampling

PROMPT, EDIT = "a red rose", op.Edit("a rose", "a blue rose")
QUICK = ("SD1", "SDXL", "SD3", "FLUX-dev", "PixArt-Sigma")
SETTINGS: dict[str, dict[str, Any]] = {
    "refact": {"layer": 1, "steps": 5, "learning_rate": 0.5, "contrast": 4, "covariance_weight": 0},
    "mass": {
        "layer": 1,
        "steps": 5,
        "learning_rate": 0.5,
        "contrast": 4,
        "covariance_weight": 0,
        "padding": False,
        "mentions": 0,
        "lam": 0.01,
    },
    "finetune": {"layer": 1, "epochs": 2, "contrast": 4, "penalty": 0, "learning_rate": 1e-2},
    "finetune-text": {"steps": 2, "learning_rate": 1e-2},
}
"""Few steps: what is asked is whether it works, not how well."""


class Subject:
    """A random model, how small pictures of it are made, and an edit of it to export."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.call = random_models.call_arguments(name)
        self.pipeline = random_models.build(name)
        self.model: Model = op.load(self.pipeline)
        self.patch: Patch | None = None
        names = {
            "num_inference_steps": "steps",
            "guidance_scale": "guidance",
            **{name: name for name in ("height", "width", "negative_prompt")},
        }
        given = {ours: self.call[theirs] for theirs, ours in names.items() if theirs in self.call}
        self.how = Sampling(**given)
        self.from_text = True
        try:
            self.model.family.check_generates(self.model)
        except OverpaintError:  # it needs a picture, too: its own call is given one
            self.from_text = False

    def pictures(self, prompts: list[str]) -> torch.Tensor:
        """Levels ``[n, 3, H, W]``, all from seed 3."""
        if self.from_text:
            return op.generate(self.model, prompts, [3], self.how, output_type="pt")[:, 0].float()
        return torch.cat([self.own(prompt) for prompt in prompts])

    def own(self, prompt: str) -> torch.Tensor:
        """The picture ``[1, 3, H, W]`` that the pipeline's own call gives, in levels."""
        generator = torch.Generator().manual_seed(3)
        call = {"generator": generator, "output_type": "np", **self.call}
        return as_tensor(self.pipeline(prompt=prompt, **call).images).float() * 255

    def exports(self, patch: Patch) -> bool:
        """Whether LoRA files have names for all sites of ``patch``."""
        family = self.model.family
        sites = [delta.site for delta in patch.deltas]
        return all(
            family.lora_key(site.component, site.name, form)
            for form in family.lora_forms[:1]
            for site in sites
        )

    def changes(self, before: torch.Tensor) -> bool:
        """Whether the edited prompt's picture is another than ``before``."""
        return bool((self.pictures([EDIT.source]) - before).abs().max() > 0)


def generate(subject: Subject) -> str:
    """The picture is the pipeline's own, up to one level."""
    subject.model.family.check_generates(subject.model)
    apart = float((subject.own(PROMPT) - subject.pictures([PROMPT])).abs().max())
    return "" if apart <= 1 else f"pictures are {apart:.1f} levels apart"


def method(name: str) -> Callable[[Subject], str]:
    """An edit changes a picture, survives its file, and comes off without a trace."""

    def run(subject: Subject) -> str:
        model = subject.model
        before = subject.pictures([EDIT.source])
        config = METHODS[name].config(**SETTINGS.get(name, {}))
        patch = METHODS[name].function(model, [EDIT], config)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "edit.safetensors"
            op.save_patch(patch, path)
            patch = op.load_patch(path)
        with op.applied(model, patch):
            if not subject.changes(before):
                return "the picture did not change"
        if subject.patch is None and subject.exports(patch):
            subject.patch = patch
        return "" if not subject.changes(before) else "the edit did not come off"

    return run


def lora(subject: Subject) -> str:
    """The exported file, loaded by diffusers, does what the patch does."""
    patch = subject.patch
    if patch is None:
        return "no edit to export"
    with op.applied(subject.model, patch):
        wanted = subject.pictures([EDIT.source])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lora.safetensors"
        op.export_lora(patch, path, model=subject.model)
        if not hasattr(subject.pipeline, "load_lora_weights"):
            return ""  # diffusers has no loader; the names are tested against ComfyUI's
        subject.pipeline.load_lora_weights(str(path))
    try:
        apart = float((subject.pictures([EDIT.source]) - wanted).abs().max())
    finally:
        subject.pipeline.unload_lora_weights()
    return "" if apart <= 1 else f"LoRA and patch are {apart:.1f} levels apart"


def locogen(subject: Subject) -> str:
    """Every window of layers is generated, and not all alike."""
    from overpaint.localize.locogen import LocoGenConfig
    from overpaint.localize.locogen import locogen as search
    from overpaint.models.judges import load_clip

    config = LocoGenConfig(window=1, seeds=(3,), steps=subject.how.steps, **_sizes(subject))
    found = search(
        subject.model, load_clip("toybox-judge"), "object", ["a red rose"], ["a yellow car"], config
    )
    return "" if len(set(found.scores)) > 1 or len(found.scores) == 1 else "windows are all alike"


def tracing(subject: Subject) -> str:
    """Every component has an effect that is a number."""
    from overpaint.localize.causal_trace import TraceConfig, trace_denoiser
    from overpaint.models.judges import load_clip

    config = TraceConfig(seeds=(3,), steps=subject.how.steps, batch_size=4, **_sizes(subject))
    effects = trace_denoiser(
        subject.model, load_clip("toybox-judge"), ["a red rose"], config=config
    )
    known = effects.effects[~effects.effects.isnan()]
    return "" if len(known) and bool(known.abs().max() > 0) else "no component has an effect"


def neurons(subject: Subject) -> str:
    """Neurons of the first layer are found and dropped."""
    from overpaint.localize.neurons import dropout, find_neurons

    prompts, others = ["a red rose", "a red car"], ["a rose", "a car"]
    found = find_neurons(subject.model, prompts, others, [0])
    before = subject.pictures([EDIT.source])
    with op.applied(subject.model, dropout(subject.model, found, 4)):
        return "" if subject.changes(before) else "the picture did not change"


def _sizes(subject: Subject) -> dict[str, Any]:
    return {"height": subject.how.height, "width": subject.how.width}


RUN: dict[str, Callable[[Subject], str]] = {
    "generate": generate,
    **{name: method(name) for name in METHODS},
    "locogen": locogen,
    "causal tracing": tracing,
    "neurons": neurons,
    "lora": lora,
}


def cell(subject: Subject, capability: str) -> dict[str, Any]:
    """What came out: ``works``, the ``reason`` if not, ``seconds``, and whether it was ``said``."""
    said = why_not(subject.model.family, capability, subject.model)
    began = time.perf_counter()
    try:
        fault = RUN[capability](subject)
        works, reason = not fault, fault
    except OverpaintError as error:
        works, reason = False, str(error)
    except Exception as error:  # a fault of the library: the table goes on, and the run fails
        return {"works": False, "reason": repr(error), "seconds": 0.0, "said": False}
    seconds = time.perf_counter() - began
    agrees = works == (not said) and (works or not reason.startswith("the picture"))
    return {"works": works, "reason": reason, "seconds": round(seconds, 2), "said": agrees}


def main() -> int:
    """Print the table; 1 if a cell is not what the library says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--models", nargs="*", help="names of random models")
    parser.add_argument("--json", type=Path, help="also write the cells to this file")
    flags = parser.parse_args()
    names = flags.models or (QUICK if flags.quick else random_models.NAMES)
    asked = capabilities()
    print("| model | family | " + " | ".join(asked) + " |")
    print("|---|---|" + "---|" * len(asked))
    rows, wrong = [], []
    for name in names:
        subject = Subject(name)
        cells = {capability: cell(subject, capability) for capability in asked}
        family = subject.model.family.name
        shown = ["yes" if c["works"] else "-" for c in cells.values()]
        print(f"| {name} | {family} | " + " | ".join(shown) + " |", flush=True)
        rows.append({"model": name, "family": family, "cells": cells})
        wrong += [(name, k, c["reason"]) for k, c in cells.items() if not c["said"]]
    for name, capability, reason in wrong:
        print(f"{name}: {capability} is not what the library says: {reason or 'it works'}")
    if flags.json:
        keep(flags.json, rows)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
