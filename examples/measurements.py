"""Forms of tables for what the scripts of benchmarks/ measured: quality, recall, speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cells import head, line
from sources import Form, Weights, measured


def quality(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`quality FILE [BEGINNINGS]`: what benchmarks/toybox_quality.py measured, or some of it."""
    results, command = measured(root, words, weights)
    beginnings = tuple(words[1:]) or ("",)
    yield head("What", "Is", "Should be")
    for row in results:
        if row["name"].startswith(beginnings):
            low, high = row["at_least"], row["at_most"]
            if low is not None and high is not None:
                bound = f"{max(low, 0):.0f}-{high:.0f}"
            else:
                bound = "" if low == high else f"≥ {low:.0f}" if high is None else f"≤ {high:.0f}"
            digits = 0 if row["unit"] in ("ms", "MB") else 1
            value = f"{row['value']:.{digits}f} {row['unit']}"
            yield line(row["name"], value if row["good"] is not False else f"{value} ✗", bound)
    yield from ("", f"`{command}`")


def recall(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`recall FILE`: at each layer the share of cases whose v* reaches its probability."""
    results, command = measured(root, words, weights)
    kinds = list(results[0]["reached"])
    yield head("layer", *(str(row["layer"]) for row in results))
    for kind in kinds:
        yield line(kind, *(f"{100 * row['reached'][kind]:.0f}" for row in results))
    yield line("all", *(f"{100 * row['share']:.0f}" for row in results))
    yield from ("", f"In % of the cases. `{command}`")


def throughput(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`throughput FILE`: pictures a second, against the plain loop."""
    results, command = measured(root, words, weights)
    yield head("", "pictures / s", "ratio")
    yield line("plain loop", f"{results['middle']['loop']:.1f}", "1")
    yield line("runner", f"{results['middle']['runner']:.1f}", f"{results['ratio']:.1f}")
    once = "runner, a picture that is asked for twice counted once"
    yield line(once, f"{results['middle']['painted']:.1f}", f"{results['painted_ratio']:.1f}")
    yield from ("", f"`{command}`")


def speed(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`speed FILE`: how long edits take on a model of SD1.4's shape."""
    results, command = measured(root, words, weights)
    yield head("", "ms", "times ours")
    for row in results:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}"
        yield line(row["name"], f"{row['ms']:.1f}", ratio)
    yield from ("", f"`{command}`")


def localize(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`localize FILE`: fast LocoGen against the exhaustive search."""
    results, command = measured(root, words, weights)
    whole = ("cases", "ties", "exhaustive", "fast")
    names = list(next(iter(results.values()))["all"])
    yield head("", "kind", *names)
    for title, kinds in results.items():
        for kind, row in kinds.items():
            cells = [
                f"{row[n]:.0f}" if n in whole
                else f"{row[n]:.1f}x" if n == "saved" else f"{100 * row[n]:.0f} %"
                for n in names
            ]  # fmt: skip
            yield line(title, kind, *cells)
    yield from ("", f"`{command}`")


def families(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`families FILE`: what works with which family of models."""
    results, command = measured(root, words, weights)
    yield head("family", "model", *results[0]["cells"])
    for row in results:
        cells = ("✓" if cell["works"] else "–" for cell in row["cells"].values())
        yield line(row["family"], row["model"], *cells)
    yield from ("", f"`{command}`")


MEASUREMENTS: dict[str, Form] = {
    form.__name__: form for form in (quality, recall, throughput, speed, localize, families)
}
