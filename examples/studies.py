"""Forms of tables for studies that are no benchmark of methods: layers, strengths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cells import head, line
from sources import Form, Weights, measured


def layers(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`layers FILE`: what benchmarks/layers.py measured; the best layer of each line in bold."""
    results, command = measured(root, words, weights)
    yield head("", "unedited", *map(str, results["layers"]), "asked for")
    for name, own in results["scores"].items():
        best = max(own["layers"])
        cells = [f"**{v:.1f}**" if v == best else f"{v:.1f}" for v in own["layers"]]
        yield line(name, f"{own['unedited'][0]:.1f}", *cells, f"{own['oracle'][0]:.1f}")
    yield from ("", f"CLIP-Score with the emotion, by the layer that is edited. `{command}`")


def proxies(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`proxies FILE`: how text ranks strengths against how pictures do, validation cases."""
    results, command = measured(root, words, weights)
    found = results["validation"]
    yield head("", *found)
    for name in next(iter(found.values())):
        yield line(name, *(f"{own[name]:.2f}" for own in found.values()))
    yield from ("", f"`{command}`")


def strength(root: Path, words: list[str], weights: Weights) -> Iterator[str]:
    """`strength FILE`: the test cases with the fixed and with the chosen strength."""
    results, command = measured(root, words, weights)
    yield head("", "strength", "efficacy", "generality", "specificity", "F1 (95 %)")
    for method, ways in results["test"].items():
        for way, own in ways.items():
            shares = [_percent(own[n]) for n in ("efficacy", "generality", "specificity")]
            f1 = own["f1"]
            interval = f" ({100 * f1['low']:.1f}-{100 * f1['high']:.1f})" if f1 else ""
            yield line(method, way, *shares, f"{_percent(f1)}{interval}")
    cases = {own["cases"] for ways in results["test"].values() for own in ways.values()}
    yield from ("", f"In %, {max(cases)} test cases. `{command}`")


STUDIES: dict[str, Form] = {form.__name__: form for form in (layers, proxies, strength)}


def _percent(number: dict[str, Any] | None) -> str:
    return "–" if number is None else f"{100 * number['mean']:.1f}"
