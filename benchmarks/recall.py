"""How late the text tower recalls: can ReFACT's v* be found at every layer? Text only, a minute.

    python benchmarks/recall.py                                # the embedded tower
    python benchmarks/recall.py --clip .train/clip --tokenizer .train/tokenizer

For each layer, the share of validation cases whose v* reaches the wanted probability within the
allowed steps. No picture is made, so a tower can be checked before anything is trained on top.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import console, keep
from rich.progress import track
from rich.table import Table
from transformers import CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from overpaint.methods.refact import ReFACTConfig, refact_each
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.sites import text_transformer
from overpaint.toybox.cases import TIMED_AND_ROAD
from overpaint.toybox.cases import load as load_cases
from overpaint.toybox.grammar import captions
from overpaint.types import Case


@dataclass(frozen=True)
class Recall:
    """What one layer does: ``reached`` per kind (shares), and medians over all cases.

    ``delta`` is ‖δ‖, ``value`` ‖m₀‖, ``ball`` the share of cases whose δ ended at the ball's edge.
    """

    layer: int
    reached: dict[str, float]
    share: float
    probability: float
    worst: float
    steps: float
    delta: float
    value: float
    ball: float


def tower(clip: str | None, tokenizer: str | None) -> Model:
    """Toybox, its text tower and tokenizer replaced by those in the folders given."""
    model = load("toybox")
    if clip is None:
        return model
    joint: Any = CLIPModel.from_pretrained(clip).float().eval().requires_grad_(False)
    encoder: Any = CLIPTextModel(CLIPTextConfig(**joint.config.text_config.to_dict()))
    text_transformer(encoder).load_state_dict(joint.text_model.state_dict())
    encoder = encoder.float().eval().requires_grad_(False)
    joint.text_model = text_transformer(encoder)
    folder = tokenizer or next(
        (str(p) for p in (Path(clip), Path(clip).parent / "tokenizer") if _has_words(p)), None
    )
    model.pipeline.text_encoder = encoder
    if folder:
        model.pipeline.tokenizer = CLIPTokenizer.from_pretrained(folder)
    return replace(model, clip=joint)


def _has_words(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file()


def measure(
    model: Model, cases: Sequence[Case], layer: int, config: ReFACTConfig, wanted: float
) -> Recall:
    """Find v* of every case at ``layer``."""
    patches = refact_each(model, [c.edit for c in cases], replace(config, layer=layer))
    found = {key: [float(p.info[key][0]) for p in patches] for key in patches[0].info}  # type: ignore[index]
    reached = [p >= wanted for p in found["probability"]]
    reference = [config.radius * v for v in found["value_norm"]]
    at_edge = [d >= 0.999 * r for d, r in zip(found["delta_norm"], reference, strict=True)]
    kinds = {
        kind: _mean([r for r, c in zip(reached, cases, strict=True) if c.kind == kind])
        for kind in dict.fromkeys(c.kind for c in cases)
    }
    return Recall(
        layer,
        kinds,
        _mean(reached),
        median(found["probability"]),
        min(found["probability"]),
        median(found["steps"]),
        median(found["delta_norm"]),
        median(found["value_norm"]),
        _mean(at_edge) if config.stream_share == 0 else float("nan"),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def show(rows: Sequence[Recall], wanted: float, steps: int) -> None:
    """Print the table; a layer below 85 % is red."""
    table = Table(title=f"v* reaches p >= {wanted} within {steps} steps")
    kinds = list(rows[0].reached)
    for name in ("layer", *kinds, "all", "median p", "worst p", "steps", "‖δ‖", "‖m₀‖", "at ball"):
        table.add_column(name, justify="right")
    for row in rows:
        shares = [f"{row.reached[k]:.0%}" for k in kinds]
        color = "green" if row.share >= 0.85 else "red"
        numbers = f"{row.probability:.3f} {row.worst:.3f} {row.steps:.0f} {row.delta:.2f}"
        table.add_row(
            str(row.layer),
            *shares,
            f"[{color}]{row.share:.0%}[/]",
            *f"{numbers} {row.value:.2f} {row.ball:.0%}".split(),
        )
    console.print(table)


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", help="folder of a CLIPModel (default: the embedded one)")
    parser.add_argument("--tokenizer", help="its tokenizer (default: beside it)")
    parser.add_argument("--split", default="validation", choices=["validation", "test"])
    parser.add_argument("--layers", type=int, nargs="*", default=list(range(11)))
    parser.add_argument("--kinds", nargs="*", default=list(TIMED_AND_ROAD), choices=TIMED_AND_ROAD)
    parser.add_argument("--limit", type=int, help="cases per kind")
    parser.add_argument("--wanted", type=float, default=0.95, help="probability to reach")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--radius", type=float, default=4.0, help="of the ball, in ‖m₀‖")
    parser.add_argument("--stream-share", type=float, default=0.0)
    parser.add_argument("--cosine", action="store_true", help="cosine in place of L2")
    parser.add_argument("--match-contexts", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()

    model = tower(flags.clip, flags.tokenizer)
    cases = [case for kind in flags.kinds for case in load_cases(kind, flags.split)[: flags.limit]]
    config = ReFACTConfig(
        steps=flags.steps,
        learning_rate=flags.lr,
        radius=flags.radius,
        stop=flags.wanted,
        stream_share=flags.stream_share,
        cosine=flags.cosine,
        match_contexts=flags.match_contexts,
        covariance_weight=0.0,  # does not enter v*
        corpus=Corpus("toybox-captions", tuple(captions(10_000))),
    )
    start = time.perf_counter()
    rows = [measure(model, cases, n, config, flags.wanted) for n in track(flags.layers, "layers")]
    show(rows, flags.wanted, flags.steps)
    took = time.perf_counter() - start
    print(f"{len(cases)} cases, {took:.0f} s, {torch.get_num_threads()} threads")
    if flags.json:
        keep(flags.json, [asdict(row) for row in rows])


if __name__ == "__main__":
    main()
