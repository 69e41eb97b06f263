"""What each method is given where nobody says otherwise, by model and kind of cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]
"""Settings by name; ``"roles.layer"`` is the layer for cases of the kind roles."""

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

PAPERS: Mapping[str, Settings] = {
    # ReFACT, section 5: layer 9 for TIMED, 7 for RoAD.
    "refact": {"layer": 9, "roles.layer": 7, "appearances.layer": 7},
    "mass": {"layer": 9, "roles.layer": 7, "appearances.layer": 7},
    # ReFACT, appendix G.2: a role's destination shares its words, an appearance's does not.
    "time": {"appearances.end_only": True},
    "finetune-text": {"appearances.end_only": True},
}


def defaults(model: str, method: str) -> dict[str, Any]:
    """Settings of ``method`` on ``model``: those chosen for Toybox, or those of the papers."""
    return dict((TOYBOX if model == "toybox" else PAPERS).get(method, {}))
