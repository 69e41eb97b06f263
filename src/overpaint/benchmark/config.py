"""What a benchmark does, as one frozen value; from a TOML file, a preset, or flags."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from overpaint.errors import ConfigError, EditError
from overpaint.methods.chosen import Settings
from overpaint.methods.configure import converted
from overpaint.methods.registry import METHODS

UNEDITED = ("baseline", "oracle", "rewrite")
"""Rows that edit no weights: as it is, asked for the new in words, with prompts rewritten."""

GENDER = ("time", "time-multi", "uce")
"""Methods on professions: a λ for each, one λ for all, UCE (:mod:`~.gender_table`)."""

EDITS = "edits"
"""What a sweep goes over that is no setting: how many edits one model holds."""

TOYBOX = "toybox"

EXTRACTORS = ("judge", "inception")
"""Whose features FID compares."""


@dataclass(frozen=True)
class Sweep:
    """A curve: ``method`` once for each of ``values`` of the setting ``over``.

    ``series``    its name; by default the method's.
    ``values``    numbers; for ``over = "edits"`` how many edits, taken in turn from the data sets,
        the model holds at once, and "all" is a value too.
    ``settings``  what else the method is given.
    ``alone``     for ``over = "edits"``: the same cases, each edited in a model of its own.
    """

    method: str
    over: str
    values: tuple[Any, ...]
    series: str = ""
    settings: Settings = field(default_factory=dict)
    alone: bool = False


@dataclass(frozen=True)
class BenchConfig:
    """Everything a run depends on.

    ``preset``    name of the preset it comes from, or "".
    ``title``     what a report is headed with.
    ``model``     ``toybox``, a folder with a diffusers pipeline, or a name on the hub.
    ``judge``     the CLIP that looks at pictures.
    ``data``      data sets by name, each also as ``NAME=FILE``. What is in them says what is done:
        cases are edited, professions debiased, prompt pairs edited or, with ``window``, localized.
    ``methods``   rows of the table.
    ``settings``  of each method, over those of :mod:`overpaint.methods.chosen`; "roles.layer"
        for one kind of cases.
    ``sweeps``    curves beside the table.
    ``groups``    kinds of cases that are one in the tables: ``{"RoAD": ["roles", ...]}``.
    ``window``    m of LocoGen's windows; 0 to edit.
    ``captions``  a data set of prompts that no edit is about, for the CLIP score and FID.
    ``fid``       what FID compares: features of the ``judge``'s image tower, or of ``inception``;
        "" for no FID.
    ``reference`` folder of the real pictures for FID; "" for those that Toybox's renderer draws.
    ``scorer``    another CLIP for one more CLIP score, or "".
    ``seeds``     pictures per prompt, of the seeds 0, 1, ...
    ``steps``, ``guidance``, ``size``, ``batch``  of painting; None for the model family's.
    ``limit``     cases of each kind at most, and captions; None for all.
    ``keep``      of how many seeds the pictures are kept.
    ``x_label``   what the curves are drawn over.
    ``paper``     rows of the paper's own table.
    """

    preset: str = ""
    title: str = ""
    model: str = TOYBOX
    judge: str = "toybox-judge"
    data: tuple[str, ...] = ("toybox-attributes", "toybox-roles", "toybox-appearances")
    methods: tuple[str, ...] = ("baseline", "oracle", "time", "refact")
    settings: Mapping[str, Settings] = field(default_factory=dict)
    sweeps: tuple[Sweep, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    window: int = 0
    captions: str = ""
    fid: str = ""
    reference: str = ""
    scorer: str = ""
    seeds: int = 8
    steps: int | None = None
    guidance: float | None = None
    size: int | None = None
    batch: int | None = None
    limit: int | None = None
    keep: int = 2
    x_label: str = ""
    paper: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """ConfigError for a value out of its range."""
        for name in ("seeds", "steps", "size", "batch", "limit"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} of at least 1, got {value}")
        _require(self.keep >= 0, f"keep of at least 0, got {self.keep}")
        _require(self.window >= 0, f"window of at least 0, got {self.window}")
        _require(bool(self.data), "at least one data set, got none")
        _require(self.fid in ("", *EXTRACTORS), f"judge or inception as fid, got {self.fid!r}")
        _require(bool(self.captions) or not (self.fid or self.scorer), "captions for fid, got none")
        drawn = self.captions.startswith(TOYBOX)
        _require(drawn or not self.fid or bool(self.reference), "a reference folder for fid")
        known = dict.fromkeys((*UNEDITED, *METHODS, *GENDER))
        for name in (*self.methods, *self.settings, *(s.method for s in self.sweeps)):
            _require(name in known, f"a method out of {', '.join(known)}, got {name!r}")
        _require(bool(self.methods or self.sweeps or self.window), "methods or sweeps, got neither")
        for sweep in self.sweeps:
            _check(sweep)

    @property
    def kept(self) -> dict[str, Any]:
        """As JSON values, without what changes no result: what a run is known by."""
        values = asdict(self)
        del values["batch"]
        return values


def parse(values: Mapping[str, Any], base: BenchConfig | None = None) -> BenchConfig:
    """``base`` with ``values`` as TOML or flags have them; ConfigError names what is wrong."""
    hints = {f.name: f.type for f in fields(BenchConfig)}
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            raise ConfigError(_unknown("key", name, hints))
        made[name] = _READ[name](name, value) if name in _READ else _simple(name, value)
    return replace(base or BenchConfig(), **made)


def read(path: Path) -> dict[str, Any]:
    """The keys in a TOML file; ConfigError when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8: both say where
        raise ConfigError(f"{path}: expected TOML: {error}") from error


def from_file(path: Path) -> BenchConfig:
    """The configuration in a TOML file; ConfigError, naming the file, for a bad one."""
    try:
        return parse(read(path))
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if str(path) in text else f"{path}: {text}") from error


def with_settings(config: BenchConfig, words: Sequence[str]) -> BenchConfig:
    """``config`` with words like ``refact.layer=5`` or ``refact.roles.layer=5`` in its settings."""
    settings = {name: dict(values) for name, values in config.settings.items()}
    for word in words:
        place, equals, value = word.partition("=")
        method, dot, name = place.strip().partition(".")
        if not (equals and dot and name and method):
            raise ConfigError(f"expected METHOD.SETTING=VALUE, e.g. refact.layer=7, got {word!r}")
        settings.setdefault(method, {})[name] = value.strip()
    return replace(config, settings=settings)


def _check(sweep: Sweep) -> None:
    _require(bool(sweep.values), f"values for the sweep over {sweep.over!r}, got none")
    for value in sweep.values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        held = sweep.over == EDITS and (value == "all" or (isinstance(value, int) and value >= 1))
        fine = held if sweep.over == EDITS else number
        what = "numbers of edits, or 'all'," if sweep.over == EDITS else "numbers"
        _require(fine, f"{what} as values of the sweep over {sweep.over!r}, got {value!r}")
    _require(
        not sweep.alone or sweep.over == EDITS, f"alone with over = {EDITS!r}, got {sweep.over!r}"
    )


def _require(holds: bool, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"expected {wanted}; see docs/benchmark.md")


def _unknown(what: str, name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"unknown {what} {name!r}; {hint}"


_HINTS: dict[str, Any] = {
    **dict.fromkeys(("preset", "title", "model", "judge", "captions", "x_label"), str),
    **dict.fromkeys(("fid", "reference", "scorer"), str),
    **dict.fromkeys(("data", "methods"), tuple[str, ...]),
    **dict.fromkeys(("seeds", "keep", "window"), int),
    **dict.fromkeys(("steps", "size", "batch", "limit"), int | None),
    "guidance": float | None,
}


def _simple(name: str, value: Any) -> Any:
    whole = _HINTS[name] is not float and isinstance(value, float) and name != "guidance"
    if isinstance(value, bool) or whole or (_HINTS[name] is str and not isinstance(value, str)):
        raise ConfigError(f"key {name!r}: {value!r} is of another kind than expected")
    try:
        return converted(name, _HINTS[name], value)
    except EditError as error:
        raise ConfigError(f"key {name!r}: {str(error).partition(': ')[2]}") from error


def _settings(name: str, value: Any) -> dict[str, Settings]:
    return {method: _flat(f"{name}.{method}", own) for method, own in _table(name, value).items()}


def _flat(name: str, value: Any) -> Settings:
    """``{"layer": 9, "roles": {"layer": 7}}`` as ``{"layer": 9, "roles.layer": 7}``."""
    made: dict[str, Any] = {}
    for key, own in _table(name, value).items():
        if isinstance(own, Mapping):
            made |= {f"{key}.{inner}": v for inner, v in own.items()}
        else:
            made[key] = own
    return made


def _sweeps(name: str, value: Any) -> tuple[Sweep, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"key {name!r}: expected [[{name}]] tables, got {value!r}")
    known = {f.name: f for f in fields(Sweep)}
    made = []
    for entry in value:
        entry = dict(_table(name, entry))
        for key in entry:
            if key not in known:
                raise ConfigError(_unknown("key of a sweep", key, known))
        for key in ("method", "over", "values"):
            if key not in entry:
                raise ConfigError(f"a sweep in {name!r} lacks {key!r}; say what it goes over")
        if not isinstance(entry["values"], list | tuple):
            raise ConfigError(f"values of a sweep: expected a list, got {entry['values']!r}")
        for key in ("method", "over", "series"):
            if not isinstance(entry.get(key, ""), str):
                raise ConfigError(f"{key} of a sweep: expected a word, got {entry[key]!r}")
        entry["values"] = tuple(entry["values"])
        entry["settings"] = _flat(f"{name}.settings", entry.get("settings", {}))
        made.append(Sweep(**entry))
    return tuple(made)


def _groups(name: str, value: Any) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {}
    for key, own in _table(name, value).items():
        if not isinstance(own, str | list | tuple):
            raise ConfigError(f"key '{name}.{key}': expected kinds of cases, got {own!r}")
        made[key] = tuple(_simple("data", own))
    return made


def _rows(name: str, value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"key {name!r}: expected [[{name}]] tables, got {value!r}")
    return tuple(dict(_table(name, entry)) for entry in value)


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"key {name!r}: expected a table, got {value!r}")
    return value


_READ = {"settings": _settings, "sweeps": _sweeps, "groups": _groups, "paper": _rows}
