"""Is the embedded model good enough to measure edits on? Every number with what it should be.

    python benchmarks/toybox_quality.py
    python benchmarks/toybox_quality.py --only judge speed      # a minute
    python benchmarks/toybox_quality.py --limit 5 --seeds 2     # a rough look

Goes on where it was stopped: every picture's scores are kept in the --run folder. Pictures that
``make bench`` painted, with the same number of steps, are found in --share and not painted anew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from common import bar, console, keep
from rich.table import Table

from overpaint.benchmark.config import BenchConfig
from overpaint.benchmark.presets import BATCH
from overpaint.benchmark.rows import F
from overpaint.benchmark.run import run
from overpaint.benchmark.score import Number, summaries
from overpaint.benchmark.studio import Studio, studio
from overpaint.generate import generate
from overpaint.models.clip import image_features, text_features
from overpaint.models.embedded import EMBEDDED, toybox_folder
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.pictures import Row, grid, save_picture
from overpaint.toybox import cases as toybox_cases
from overpaint.toybox import quiz
from overpaint.toybox.grammar import parse
from overpaint.toybox.render import render
from overpaint.toybox.world import CHARACTERS, EMOTIONS, OBJECTS, PEOPLE, SETTINGS, STYLES
from overpaint.types import Sampling

PARTS = ("judge", "edits", "gender", "speed", "sheets")

SHEETS = {
    "people": list(PEOPLE),
    "objects": [f"a {name}" if name[0] not in "aeiou" else f"an {name}" for name in OBJECTS],
    "roles": ["the president of arda", "arda's king", "the mayor of corin", "dunland's commander"],
    "emotions": [f"{emotion} ada vale" for emotion in EMOTIONS],
    "characters": [*CHARACTERS, "a robot", "a fish", "a puppy"],
    "scenes": [f"{thing} {s}" for s, thing in zip(SETTINGS, ("a blue rose", "hugo penn") * 2)],  # noqa: B905
    "media": ["a painting of a cat", "a sketch of a cat", "a portrait of elsa penn"],
    "styles": [f"a house in the style of {style}" for style in STYLES],
    "two": ["a cat and a hat", "ada finn and hugo marsh", "two pink cars", "three tulips"],
    "professions": ["a doctor", "a nurse", "a chef", "a male secretary", "a female pilot"],
}


@dataclass(frozen=True)
class Line:
    """One measured thing: ``value`` in ``unit``, and the bound it has to keep, if there is one."""

    name: str
    value: float
    unit: str = "%"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def good(self) -> bool | None:
        """Whether the bound is kept; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


def drawn(scenes: Sequence, seeds: Sequence[int]) -> torch.Tensor:
    """True pictures of ``scenes``, one each: uint8 ``[n, 3, 64, 64]``."""
    pixels = [torch.tensor(render(s, seed)) for s, seed in zip(scenes, seeds, strict=True)]
    return torch.stack(pixels).permute(0, 3, 1, 2)


def judge_lines(room: Studio, flags: argparse.Namespace) -> list[Line]:
    """How often the judge picks the caption of a true picture, per kind of difference."""
    lines = []
    for kind in quiz.KINDS:
        asked = quiz.questions(kind, flags.questions)
        seen = image_features(room.judge, drawn([q.scene for q in asked], range(len(asked))))
        captions = list(dict.fromkeys(caption for q in asked for caption in q.captions))
        known = dict(zip(captions, text_features(room.judge, captions), strict=True))
        right = 0
        for question, feature in zip(asked, seen, strict=True):
            texts = torch.stack([known[caption] for caption in question.captions])
            right += int((texts @ feature).argmax()) == question.answer
        lines.append(Line(f"judge: {kind}", 100 * right / len(asked), at_least=98))
    for kind in toybox_cases.EDIT_KINDS:
        cases = toybox_cases.load(kind, flags.split)[: flags.limit]
        found = [p for c in cases for p in (c.source, *c.positives, *c.negatives)]
        captions = list(dict.fromkeys(text for probe in found for text in (probe.old, probe.new)))
        known = dict(zip(captions, text_features(room.judge, captions), strict=True))
        hits = []
        for true, false in (("old", "new"), ("new", "old")):
            shown = [getattr(probe, true) for probe in found]
            pictures = drawn([parse(c) for c in shown], range(len(shown)))
            seen = image_features(room.judge, pictures)
            for probe, feature in zip(found, seen, strict=True):
                yes, no = (known[getattr(probe, x)] @ feature for x in (true, false))
                hits.append(float(yes > no))
        value = 100 * sum(hits) / len(hits)
        lines.append(Line(f"judge: old or new, {kind}", value, at_least=98))
    return lines


def edit_lines(room: Studio, flags: argparse.Namespace) -> list[Line]:
    """Baseline and oracle on the edit cases, before anything is edited."""
    ending = "" if flags.split == "test" else f"-{flags.split}"
    config = BenchConfig(
        title="Toybox, unedited",
        data=tuple(f"toybox-{kind}{ending}" for kind in toybox_cases.EDIT_KINDS),
        methods=("baseline", "oracle"),
        seeds=flags.seeds,
        limit=flags.limit,
        steps=flags.steps,
        batch=BATCH,  # as the presets: else none of their pictures would be found
        keep=0,
    )
    with bar("cases") as progress:
        folder = flags.run / f"edits-{flags.split}"
        done = run(
            config,
            folder,
            model=room.model,
            judge=room.judge,
            progress=progress,
            share=flags.share,
        )
    with done.store() as store:
        found = summaries(store)
    lines = []
    for kind in (*toybox_cases.EDIT_KINDS, "all"):
        plain, oracle = (found[row, kind] for row in ("baseline", "oracle"))
        lines += [
            Line(f"unedited: efficacy, {kind}", _percent(plain.efficacy), at_most=8),
            Line(f"unedited: specificity, {kind}", _percent(plain.specificity), at_least=95),
            Line(f"oracle: efficacy, {kind}", _percent(oracle.efficacy), at_least=95),
            Line(f"oracle: generality, {kind}", _percent(oracle.generality), at_least=93),
        ]
    return lines


def _percent(number: Number | None) -> float:
    assert number is not None  # Toybox's cases have prompts of every sort
    return 100 * number.mean


def gender_lines(room: Studio, flags: argparse.Namespace) -> list[Line]:
    """Share of women in each profession's pictures against the world's own."""
    config = BenchConfig(
        title="Toybox's professions",
        data=("toybox-gender",),
        methods=("baseline",),
        seeds=flags.pictures,
        steps=flags.steps,
    )
    with bar("gender") as progress:
        done = run(
            config, flags.run / "gender", model=room.model, judge=room.judge, progress=progress
        )
    with done.store() as store:
        shares = {m.case: m.value for m in store.measures() if m.name == F}
    lines = []
    for case in toybox_cases.load("gender"):
        share, prior = 100 * shares[case.edit.source], 100 * case.women
        name = f"women: {case.edit.source} (world {prior:.0f} %)"
        lines.append(Line(name, share, at_least=prior - 8, at_most=prior + 8))
    return lines


def speed_lines(room: Studio, flags: argparse.Namespace) -> list[Line]:
    """Milliseconds per picture, seconds to load, megabytes."""
    torch.set_num_threads(flags.threads)
    prompts = ["a rose", "ada vale in the park"]
    generate(room.model, prompts[:1], range(16), steps=1, batch_size=16)
    start = time.perf_counter()
    generate(room.model, prompts, range(16), steps=20, batch_size=16)
    took = (time.perf_counter() - start) / 32
    call = f"load({flags.model!r})"
    code = (
        "import time, torch, diffusers, transformers; from overpaint.models.load import load; "
        f"t = time.perf_counter(); {call}; print(time.perf_counter() - t)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    files = [p for p in toybox_folder("pipeline").parent.rglob("*") if p.is_file()]
    return [
        Line(f"per picture, {flags.threads} threads", 1000 * took, "ms", at_most=150),
        Line(call, float(out.stdout), "s", at_most=3),
        Line("weights", sum(p.stat().st_size for p in files) / 1e6, "MB", at_most=95),
    ]


def sheet_lines(room: Studio, flags: argparse.Namespace) -> list[Line]:
    """Sample sheets for the eye: what the renderer draws above what the model paints."""
    flags.sheets.mkdir(parents=True, exist_ok=True)
    seeds = list(range(6))
    for name, prompts in SHEETS.items():
        with bar(f"sheet {name}") as progress:
            painted = generate(room.model, prompts, seeds, progress=progress)
        rows = []
        for prompt, pictures in zip(prompts, painted, strict=True):
            rows.append(Row(drawn([parse(prompt)] * len(seeds), seeds), prompt, "drawn"))
            rows.append(Row(pictures, prompt, "painted", changed=True))
        path = flags.sheets / f"{name}.png"
        save_picture(grid(rows, [f"seed {seed}" for seed in seeds], title=name), path)
        console.print(f"wrote {path}")
    return []


def show(lines: Sequence[Line]) -> None:
    """The table, with what every number has to be."""
    table = Table(title="Toybox")
    for name in ("what", "is", "should be", ""):
        table.add_column(name, justify="left" if name == "what" else "right")
    for line in lines:
        low, high = line.at_least, line.at_most
        bounds = "" if low is None else f">= {max(low, 0):.0f}"
        bounds += "" if high is None else f" <= {high:.0f}"
        mark = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[line.good]
        table.add_row(line.name, f"{line.value:.1f} {line.unit}", bounds, mark)
    console.print(table)


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="toybox", choices=EMBEDDED)
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--split", default="test", choices=["validation", "test"])
    parser.add_argument("--seeds", type=int, default=8, help="pictures per prompt")
    parser.add_argument("--limit", type=int, help="cases per kind")
    parser.add_argument("--questions", type=int, default=200, help="for the judge, per kind")
    parser.add_argument("--pictures", type=int, default=13, help="per prompt of a profession")
    parser.add_argument("--threads", type=int, default=2, help="while speed is measured")
    parser.add_argument("--steps", type=int, help="of the sampler")
    parser.add_argument("--run", type=Path, default=Path("bench/quality"), metavar="FOLDER")
    parser.add_argument("--share", type=Path, default=Path("bench/shared"), metavar="FOLDER")
    parser.add_argument("--sheets", type=Path, default=Path("bench/sheets"), metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()

    room = studio(load(flags.model), load_clip("toybox-judge"), Sampling(steps=flags.steps))
    measures: dict[str, Callable[[Studio, argparse.Namespace], list[Line]]] = {
        "judge": judge_lines,
        "edits": edit_lines,
        "gender": gender_lines,
        "speed": speed_lines,
        "sheets": sheet_lines,
    }
    lines = [line for part in flags.only for line in measures[part](room, flags)]
    show(lines)
    if flags.json:
        found = [{**asdict(line), "good": line.good} for line in lines]
        keep(flags.json, found)


if __name__ == "__main__":
    main()
