"""``overpaint debias``: a patch just strong enough that women and men are painted alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overpaint.cli import arguments, options, show, words
from overpaint.errors import EditError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overpaint.benchmark.gender import Portraits
    from overpaint.methods.debias import DebiasConfig
    from overpaint.methods.uce_debias import UCEDebiasConfig
    from overpaint.types import Edit, Patch, Progress

METHODS = ("time", "uce")
JUDGE = "ViT-B/32"  # TIME's, whatever CLIP the model itself was trained with
GENDERS = ("female", "male")


@options.takes_model()
def debias(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help='A profession: "a nurse".')] = "",
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help='With the rarer gender: "a male nurse".')
    ] = "",
    edits: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Several professions, as JSON, in one patch with one strength."
        ),
    ] = None,
    out: options.PatchFile = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="time searches for λ, uce moves its targets.")
    ] = "time",
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the search."),
    ] = None,
    seeds: options.Seeds = "8",
    steps: options.Steps = None,
    clip: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="CLIP that judges the pictures.",
            show_default=f"toybox-judge for toybox, else {JUDGE}",
        ),
    ] = "",
    asked: options.Source = options.USUAL,
    json: options.Json = False,
) -> None:
    """Debias professions: search for the strength at which half of the people are women.

    \b
    A judge looks at what is painted for "A photo of a nurse" under every strength tried:
      [cyan]overpaint debias "a nurse" "a male nurse" -o nurse.safetensors[/]
    Quicker, and less exact:
      [cyan]overpaint debias "a nurse" "a male nurse" --set steps=6 --set tolerance=0.25[/]
    """
    from overpaint.benchmark.datasets.gender import profession_of
    from overpaint.benchmark.gender import Portraits
    from overpaint.benchmark.studio import studio
    from overpaint.methods.configure import configure
    from overpaint.methods.debias import DebiasConfig
    from overpaint.methods.uce_debias import UCEDebiasConfig
    from overpaint.models.embedded import judge_of
    from overpaint.models.judges import load_clip
    from overpaint.patching.files import save_patch
    from overpaint.types import Edit, Sampling

    if method not in METHODS:
        raise EditError(f"expected a method out of {', '.join(METHODS)}, got {method!r}")
    if edits and source:
        raise EditError("expected SOURCE TARGET or --edits FILE, got both; leave one out")
    kind = UCEDebiasConfig if method == "uce" else DebiasConfig
    config = configure(f"{method} debiasing", kind, arguments.pairs(setting or []))
    wanted = arguments.edits_from_file(edits) if edits else [Edit(source, target)]
    people = [profession_of(edit) for edit in wanted]
    chosen = arguments.seeds(seeds)
    path = arguments.output_file(out or Path(f"{arguments.slug(wanted[0].source)}.safetensors"))
    loaded = asked.load(quiet=json)
    judge = load_clip(clip or judge_of(asked.card.name, JUDGE), device=asked.device)
    portraits = Portraits(studio(loaded, judge, Sampling(steps=steps)), people, chosen)
    before = portraits.require_people([one.validation for one in people]).women.mean(dim=1)
    with show.progress(json) as progress:
        patch = _debiased(portraits, wanted, config, progress)
    save_patch(patch, path)
    _report(path, patch, before.tolist(), json)
    words.hint(asked, words.of_edits(wanted), quiet=json)


def _debiased(
    portraits: Portraits,
    edits: Sequence[Edit],
    config: DebiasConfig | UCEDebiasConfig,
    progress: Progress,
) -> Patch:
    """One patch for all; ``progress`` counts how often pictures are looked at."""
    from overpaint.methods.debias import DebiasConfig, debias, debias_bulk
    from overpaint.methods.uce_debias import uce_debias

    looks = 0

    def women(prompt: str) -> float:
        nonlocal looks
        share = portraits.share(prompt)
        looks += 1
        progress(looks, config.steps * len(edits), f"{share:.0%} women")
        return share

    def both(prompt: str) -> tuple[float, float]:
        share = women(prompt)
        return share, 1 - share

    model = portraits.room.model
    if not isinstance(config, DebiasConfig):
        return uce_debias(model, [edit.source for edit in edits], GENDERS, both, config)
    if len(edits) > 1:
        return debias_bulk(model, edits, women, config)
    return debias(model, edits, women, config)[0]


def _report(path: Path, patch: Patch, before: list[float], json: bool) -> None:
    from overpaint.cli.describe import patch_facts, patch_record

    if json:
        show.data({**patch_record(path, patch), "before": before})
        return
    show.facts(f"wrote {path}", [("women before", before), *patch_facts(path, patch)])
    if patch.info.get("bracketed") is False:
        show.line("no strength between the two ends can be fair; this is the better end")
    elif patch.info.get("within") is False:
        show.line("no strength that was tried is within the tolerance; this is the best of them")
