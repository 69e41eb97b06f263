"""What each method is given where nobody says otherwise, by model and kind of edits.

The numbers of the papers are for Stable Diffusion; the embedded model has its own, chosen on its
validation cases. Benchmarks and ``overpaint edit`` start from the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overpaint.errors import EditError
from overpaint.methods.configure import configure
from overpaint.methods.registry import METHODS, method_called
from overpaint.models.load import card_of
from overpaint.models.model import Model

Settings = Mapping[str, Any]
"""Settings by name; ``"roles.layer"`` is the layer for edits of the kind roles."""

KINDS = ("attributes", "roles", "appearances", "styles", "people")
"""Kinds of edits that settings may have been chosen for."""

# Chosen on Toybox's validation cases, one setting for all kinds.
_REFACT = {"layer": 7, "covariance_weight": 0.8, "scale": 1.5}
_TIME = {"lam": 50}

# These share too few words with their target (ReFACT, appendix G.2).
_APART = {f"{kind}.end_only": True for kind in ("roles", "appearances", "styles", "people")}

TOYBOX: Mapping[str, Settings] = {
    "refact": _REFACT,
    # Of one edit it takes more to reach far, of many together more not to disturb the rest.
    "mass": {"layer": 5, "scale": 1.5},
    "finetune": {"layer": 7},
    # The UNet reads most subjects behind their last word (docs/methods/locoedit.md).
    "uce": {"lam": 300, "onward": True, "styles.lam": 100, "styles.onward": False},
    "locoedit": {
        # Where LocoGen finds styles, and objects and facts: edits as well as all sixteen.
        "layers": [1, 2, 3, 9, 10, 11, 12, 13],
        "styles.layers": [1, 2, 3, 11, 12, 13],
        "templates": ["{}", "a photo of {}", "a painting of {}", "a picture of {}"],
        "lam_k": 100,
        "lam_v": 100,
        "onward": True,
        "styles.lam_k": 30,
        "styles.lam_v": 30,
    },
    "time": {**_TIME, **_APART},
    # Small steps forget less than the paper's (docs/methods/finetune.md), and few of them do.
    "finetune-text": {"learning_rate": 3e-6, "steps": 200, "stop": 0.03, **_APART},
}

CHOSEN: Mapping[str, Mapping[str, Settings]] = {"toybox": TOYBOX}
"""What was chosen for a model, by the name on its card (:mod:`overpaint.models.card`)."""

PAPERS: Mapping[str, Settings] = {
    # ReFACT, section 5: layer 9 for TIMED, 7 for RoAD.
    "refact": {"layer": 9, "roles.layer": 7, "appearances.layer": 7},
    "mass": {"layer": 9, "roles.layer": 7, "appearances.layer": 7},
    # ReFACT, appendix G.2: a role's destination shares its words, an appearance's does not.
    "time": {"appearances.end_only": True},
    "finetune-text": {"appearances.end_only": True},
}


def chosen(model: Model | str, method: str, kind: str = "") -> Any:
    """The config with which ``method`` starts on ``model``: an instance of its config dataclass.

    ``model``   a loaded model, or its name as :func:`overpaint.load` takes it. For an embedded
        model and its copies the settings were chosen on validation cases; for any other they are
        the paper's.
    ``method``  a name in ``METHODS``, e.g. ``"refact"`` for a ``ReFACTConfig``.
    ``kind``    what is edited: ``"attributes"``, ``"roles"``, ``"appearances"``, ``"styles"`` or
        ``"people"``, where something else was chosen for it; "" for what suits most edits.

    Lengths are in units of the method's own norms and λ in squared units of the model's text
    embeddings, as the config's fields say. EditError for an unknown method or kind.
    """
    config = method_called(method).config
    if kind and kind not in KINDS:
        raise EditError(
            f"expected a kind of edits out of {', '.join(KINDS)}, got {kind!r}; leave it out for "
            "the settings that suit most"
        )
    name = (card_of(model) if isinstance(model, str) else model.card).name
    return configure(method, config, of_kind(chosen_settings(name, method), kind))


def chosen_settings(name: str, method: str) -> dict[str, Any]:
    """The same as names and values, for all kinds; empty where nothing is said of ``method``.

    ``name`` is that on the model's card.
    """
    return dict(CHOSEN.get(name, PAPERS).get(method, {}))


def of_kind(settings: Settings, kind: str = "") -> dict[str, Any]:
    """``settings`` for edits of ``kind``: those for all, and over them those for the kind."""
    values = {name: value for name, value in settings.items() if "." not in name}
    for name, value in settings.items():
        scope, dot, own = name.rpartition(".")
        if dot and scope == kind:
            values[own] = value
    return values


def over(method: str, base: Settings, given: Settings) -> dict[str, Any]:
    """``given`` over ``base``, the settings ``method`` starts from.

    A setting for all kinds replaces what the base says of some; a strength what it means.
    """
    replaced = set(given)
    if "strength" in given and method in METHODS:
        replaced |= set(getattr(METHODS[method].config, "STRENGTH", ()))
    kept = {n: value for n, value in base.items() if n.rpartition(".")[2] not in replaced}
    return {**kept, **given}
