"""The demo: three edits of the embedded model, what they changed, and proof that they come off.

    python examples/demo.py FOLDER

Writes patches, a LoRA, before/after pictures and scores into FOLDER and prints where they are.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import overpaint as op
from overpaint.models.clip import Clip, image_features, text_features
from overpaint.models.judges import load_clip
from overpaint.toybox.scene import article
from overpaint.toybox.world import COLORS, PEOPLE

SEEDS = range(5)  # three prompts, five seeds: 15 pictures, one batch of 16
REFACT = op.ReFACTConfig(layer=7, covariance_weight=0.8)
# Two edits that lie close together move their neighbours more: hold these tighter.
REFACT_BOTH = op.ReFACTConfig(layer=7, covariance_weight=0.95)
TIME_BOTH = op.TIMEConfig(lam=200)


def main(folder: Path) -> None:
    """Run the whole demo; see the module's docstring."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    model = op.load("toybox")
    judge = load_clip("toybox-judge")
    print(f"loaded Toybox in {time.perf_counter() - began:.1f} s")

    # A plural is another word to a text encoder: an edit of "a rose" alone leaves "roses" red.
    roses = [op.Edit("a rose", "a blue rose"), op.Edit("two roses", "two blue roses")]
    president = [op.Edit("the president of arda", "ada vale")]
    patches = {
        "roses-refact": timed("ReFACT", roses, lambda: op.refact(model, roses, REFACT_BOTH)),
        "roses-time": timed("TIME", roses, lambda: op.time_edit(model, roses, TIME_BOTH)),
        "president-refact": timed("ReFACT", president, lambda: op.refact(model, president, REFACT)),
    }
    for name, patch in patches.items():
        path = op.save_patch(patch, folder / f"{name}.safetensors")
        print(f"  {path}  {path.stat().st_size / 1000:.1f} kB")
    op.export_lora(patches["roses-refact"], folder / "roses-lora.safetensors", model.family)

    # for every prompt the captions that the judge may choose from, what the edit wants first
    blue_first = ["blue", *(color for color in COLORS if color != "blue")]
    ada_first = ["ada vale", *(person for person in PEOPLE if person != "ada vale")]
    prompts = {
        "a rose": [article(f"{color} rose") for color in blue_first],
        "two roses in the snow": [f"two {color} roses in the snow" for color in blue_first],
        "a tulip": [article(f"{color} tulip") for color in blue_first],
    }
    pair = {"ReFACT": patches["roses-refact"], "TIME": patches["roses-time"]}
    print(f"\nbefore-after.png: share that the judge calls blue, of {len(COLORS)} colours")
    scores = compare(model, judge, prompts, pair, folder / "before-after.png")
    prompts = {
        "the president of arda": ada_first,
        "arda's leader at night": [f"{person} at night" for person in ada_first],
        "the king of arda": ada_first,
    }
    role = {"ReFACT": patches["president-refact"]}
    print(f"\npresident.png: share that the judge calls Ada Vale, of {len(PEOPLE)} people")
    scores |= compare(model, judge, prompts, role, folder / "president.png")
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    prove_exact(model, folder)
    print(f"\nLook at {folder}/before-after.png and {folder}/president.png")
    print(f"All of it took {time.perf_counter() - began:.0f} s.")


def timed(method: str, edits: list[op.Edit], compute: Callable[[], op.Patch]) -> op.Patch:
    """The patch that ``compute()`` returns, saying how long it took."""
    began = time.perf_counter()
    patch = compute()
    seconds = time.perf_counter() - began
    told = ", ".join(f"{edit.source} -> {edit.target}" for edit in edits)
    print(f"{method:6}  {told}: {seconds:.2f} s")
    return patch


def compare(
    model: op.Model,
    judge: Clip,
    prompts: dict[str, list[str]],
    patches: dict[str, op.Patch],
    path: Path,
) -> dict[str, dict[str, float]]:
    """Paint ``prompts`` before and after each patch; the share that the first caption fits best."""
    painted = {"before": op.generate(model, list(prompts), SEEDS, output_type="pt")}
    for name, patch in patches.items():
        with op.applied(model, patch):
            painted[name] = op.generate(model, list(prompts), SEEDS, output_type="pt")
    rows = [
        op.Row(pictures[index], prompt, name, changed=name != "before")
        for index, prompt in enumerate(prompts)
        for name, pictures in painted.items()
    ]
    op.grid(rows, [f"seed {seed}" for seed in SEEDS], cell=96).save(path)

    print(f"  {'':26}" + "".join(f"{name:>9}" for name in painted))
    scores = {}
    for index, (prompt, captions) in enumerate(prompts.items()):
        texts = text_features(judge, captions)
        scores[prompt] = {}
        for name, pictures in painted.items():
            best = (image_features(judge, pictures[index]) @ texts.T).argmax(dim=1)
            scores[prompt][name] = (best == 0).double().mean().item()
        print(f"  {prompt:26}" + "".join(f"{s:9.0%}" for s in scores[prompt].values()))
    return scores


def prove_exact(model: op.Model, folder: Path) -> None:
    """Put the saved patches on and take them off: every weight must have the bits it had."""
    weights = {n: w for c in ("text_encoder", "unet") for n, w in named(model, c)}
    before = {name: weight.clone() for name, weight in weights.items()}
    first, second = (
        op.apply(model, op.load_patch(folder / f"{name}.safetensors"))
        for name in ("roses-refact", "president-refact")
    )
    changed = sum(not torch.equal(before[n], w) for n, w in weights.items())
    first.revert()
    second.revert()
    same = all(torch.equal(before[n], w) for n, w in weights.items())
    print(f"\npatches on: {changed} matrix changed; off again: bit for bit as before: {same}")
    if not same:
        raise SystemExit("the model did not come back bit for bit")


def named(model: op.Model, component: str) -> list[tuple[str, torch.Tensor]]:
    """The parameters of one network, by full name."""
    network = model.component(component)
    return [(f"{component}.{name}", w.detach()) for name, w in network.named_parameters()]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
