"""The papers' tables and figures as configurations: a TOML file each, beside this one."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from overpaint.benchmark.config import TOYBOX, BenchConfig, parse
from overpaint.errors import ConfigError

PAINTED = (
    *("model", "judge", "data", "captions", "scorer"),
    *("seeds", "steps", "guidance", "size", "batch"),
)
"""Keys that belong to the paper's own model and data, and not to Toybox."""

BATCH = 32
"""Pictures at once on Toybox, whose pictures are small."""


def names() -> tuple[str, ...]:
    """Every preset, in alphabetical order."""
    found = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def preset(name: str, model: str = "") -> BenchConfig:
    """The configuration called ``name``; ConfigError for another name.

    As the paper has it, on its model and data, or with another ``model``. For ``toybox`` the data,
    the judge and the number of seeds are Toybox's, as the table ``[toybox]`` of the file says.
    """
    if name not in names():
        raise ConfigError(f"expected a preset out of {', '.join(names())}, got {name!r}")
    values = tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))
    own: dict[str, Any] = values.pop("toybox", {})
    if model == TOYBOX:
        kept = {key: value for key, value in values.items() if key not in PAINTED}
        values = {**kept, "batch": BATCH, **own}
    elif model:
        values["model"] = model
    return parse({**values, "preset": name})
