"""Which layers of the text encoder hold an emotion: ReFACT's figures 9 and 10.

    python benchmarks/layers.py --seeds 25
    python benchmarks/layers.py --emotions happy angry --seeds 2 --steps 8 --plot layers.png

Edits each layer of the text encoder towards each emotion, of "a female doctor" and of "a male
doctor", paints the prompt without the emotion and scores the pictures against the prompt with it.
Writes a plot (one line for each emotion) and a strip of pictures of one person (one column for each
layer).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import bar, configured, console, keep
from rich.table import Table

from overpaint.benchmark.datasets.emotions import emotion_cases
from overpaint.benchmark.layers import LayerScores, layer_scores
from overpaint.localize.figures import layer_plot
from overpaint.methods.refact import ReFACTConfig
from overpaint.models.clip import clip_of
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.pictures import Row, grid, save_picture
from overpaint.types import Case, Sampling

REFACT = {"covariance_weight": 0.8}  # as chosen on the validation cases


def by_emotion(found: LayerScores, cases: list[Case]) -> dict[str, dict[str, list[float]]]:
    """Emotion -> mean over people and seeds: unedited, oracle, and after an edit of each layer."""
    table: dict[str, dict[str, list[float]]] = {}
    for emotion in dict.fromkeys(case.kind for case in cases):
        own = [i for i, case in enumerate(cases) if case.kind == emotion]
        table[emotion] = {
            "unedited": [float(found.clean[own].mean())],
            "layers": found.scores[:, own].mean(dim=(1, 2)).tolist(),
            "oracle": [float(found.oracle[own].mean())],
        }
    return table


def show(table: dict[str, dict[str, list[float]]], layers: tuple[int, ...]) -> None:
    """CLIP-Scores; the layer that shows most of the emotion is green."""
    drawn = Table(title="CLIP-Score with the emotion, after an edit of each layer")
    for name in ("", "unedited", *map(str, layers), "oracle"):
        drawn.add_column(name, justify="right")
    for emotion, row in table.items():
        best = max(row["layers"])
        cells = [f"[green]{v:.1f}[/]" if v == best else f"{v:.1f}" for v in row["layers"]]
        drawn.add_row(emotion, f"{row['unedited'][0]:.1f}", *cells, f"{row['oracle'][0]:.1f}")
    console.print(drawn)


def main() -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="toybox")
    parser.add_argument("--emotions", nargs="*", help="some of them only")
    parser.add_argument("--layers", nargs="*", type=int, help="some of them only")
    parser.add_argument("--seeds", type=int, default=25, help="pictures per person")
    parser.add_argument("--steps", type=int, help="of the sampler")
    parser.add_argument("--refact", nargs="*", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--plot", type=Path, default=Path("layers.png"), metavar="FILE")
    parser.add_argument("--strip", type=Path, default=Path("layers-strip.png"), metavar="FILE")
    parser.add_argument("--cell", type=int, default=0, help="side of a picture on the strip")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()

    cases = [
        case
        for case in emotion_cases(toybox=flags.model == "toybox")
        if not flags.emotions or case.kind in flags.emotions
    ]
    if not cases:
        raise SystemExit(f"expected emotions, got {', '.join(flags.emotions)}")
    model = load(flags.model)
    judge = load_clip("toybox-judge") if flags.model == "toybox" else clip_of(model)
    config = configured(ReFACTConfig, flags.refact, "", **REFACT)
    with bar("layers") as progress:
        found = layer_scores(
            model,
            judge,
            cases,
            range(flags.seeds),
            flags.layers,
            config,
            Sampling(steps=flags.steps),
            progress=progress,
        )
    table = by_emotion(found, cases)
    show(table, found.layers)
    save_picture(
        layer_plot(
            {emotion: row["layers"] for emotion, row in table.items()},
            found.layers,
            {emotion: row["unedited"][0] for emotion, row in table.items()},
            {emotion: row["oracle"][0] for emotion, row in table.items()},
        ),
        flags.plot,
    )
    person = cases[0].source.prompt
    rows = [
        Row(found.pictures[:, i], person, case.kind)
        for i, case in enumerate(cases)
        if case.source.prompt == person
    ]
    columns = ["unedited", *(f"layer {layer}" for layer in found.layers), "asked for"]
    title = "the same prompt and noise, another layer edited"
    save_picture(grid(rows, columns, title=title, cell=flags.cell), flags.strip)
    console.print(f"wrote {flags.plot} and {flags.strip}")
    if flags.json:
        keep(flags.json, {"layers": found.layers, "scores": table})


if __name__ == "__main__":
    main()
