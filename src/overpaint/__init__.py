"""Overpaint edits what a text-to-image model knows.

An :class:`Edit` says what should change, a method turns it into a :class:`Patch` of low-rank
weight deltas, and a patch is applied, taken off bit for bit, saved, or exported as a LoRA.
The names below are the public ones; they are imported on first use, so ``import overpaint``
itself loads nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Public name -> the module that defines it.
_HOMES = {
    "Edit": "overpaint.types",
    "Patch": "overpaint.types",
    "Delta": "overpaint.types",
    "Site": "overpaint.types",
    "OverpaintError": "overpaint.errors",
    "Model": "overpaint.models.model",
    "load": "overpaint.models.load",
    "fingerprint": "overpaint.models.fingerprint",
    "generate": "overpaint.generate",
    "METHODS": "overpaint.methods.registry",
    "refact": "overpaint.methods.refact",
    "ReFACTConfig": "overpaint.methods.refact",
    "time_edit": "overpaint.methods.time_edit",
    "TIMEConfig": "overpaint.methods.time_edit",
    "apply": "overpaint.patching.apply",
    "applied": "overpaint.patching.apply",
    "save_patch": "overpaint.patching.files",
    "load_patch": "overpaint.patching.files",
    "diff": "overpaint.patching.diff",
    "export_lora": "overpaint.patching.lora",
    "grid": "overpaint.pictures",
}

__all__ = [*sorted(_HOMES), "__version__"]  # noqa: PLE0604

if TYPE_CHECKING:
    from overpaint.errors import OverpaintError
    from overpaint.types import Delta, Edit, Patch, Site


class _Package(ModuleType):
    """This package, with public names that stay what they are.

    Importing a submodule binds it as an attribute of its package; without this,
    ``overpaint.generate`` would be the function or the module, whichever came last.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
