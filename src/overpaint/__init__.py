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
    "RelativeDelta": "overpaint.types",
    "Site": "overpaint.types",
    "OverpaintError": "overpaint.errors",
    "Model": "overpaint.models.model",
    "load": "overpaint.models.load",
    "fingerprint": "overpaint.models.fingerprint",
    "generate": "overpaint.generate",
    "METHODS": "overpaint.methods.registry",
    "chosen": "overpaint.methods.chosen",
    "Sampling": "overpaint.types",
    "refact": "overpaint.methods.refact",
    "ReFACTConfig": "overpaint.methods.refact",
    "time_edit": "overpaint.methods.time_edit",
    "TIMEConfig": "overpaint.methods.time_edit",
    "uce": "overpaint.methods.uce",
    "UCEConfig": "overpaint.methods.uce",
    "locoedit": "overpaint.methods.locoedit",
    "LocoEditConfig": "overpaint.methods.locoedit",
    "diffquickfix": "overpaint.methods.diffquickfix",
    "DiffQuickFixConfig": "overpaint.methods.diffquickfix",
    "mass": "overpaint.methods.mass",
    "MassConfig": "overpaint.methods.mass",
    "finetune": "overpaint.methods.finetune",
    "FinetuneConfig": "overpaint.methods.finetune",
    "finetune_text": "overpaint.methods.finetune_text",
    "FinetuneTextConfig": "overpaint.methods.finetune_text",
    "reached": "overpaint.methods.support",
    "apply": "overpaint.patching.apply",
    "applied": "overpaint.patching.apply",
    "save_patch": "overpaint.patching.files",
    "load_patch": "overpaint.patching.files",
    "diff": "overpaint.patching.diff",
    "export_lora": "overpaint.patching.lora",
    "Row": "overpaint.pictures",
    "grid": "overpaint.pictures",
}

__all__ = [*sorted(_HOMES), "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:  # the same names for type checkers and editors
    from overpaint.errors import OverpaintError as OverpaintError
    from overpaint.generate import generate as generate
    from overpaint.methods.chosen import chosen as chosen
    from overpaint.methods.diffquickfix import DiffQuickFixConfig as DiffQuickFixConfig
    from overpaint.methods.diffquickfix import diffquickfix as diffquickfix
    from overpaint.methods.finetune import FinetuneConfig as FinetuneConfig
    from overpaint.methods.finetune import finetune as finetune
    from overpaint.methods.finetune_text import FinetuneTextConfig as FinetuneTextConfig
    from overpaint.methods.finetune_text import finetune_text as finetune_text
    from overpaint.methods.locoedit import LocoEditConfig as LocoEditConfig
    from overpaint.methods.locoedit import locoedit as locoedit
    from overpaint.methods.mass import MassConfig as MassConfig
    from overpaint.methods.mass import mass as mass
    from overpaint.methods.refact import ReFACTConfig as ReFACTConfig
    from overpaint.methods.refact import refact as refact
    from overpaint.methods.registry import METHODS as METHODS
    from overpaint.methods.support import reached as reached
    from overpaint.methods.time_edit import TIMEConfig as TIMEConfig
    from overpaint.methods.time_edit import time_edit as time_edit
    from overpaint.methods.uce import UCEConfig as UCEConfig
    from overpaint.methods.uce import uce as uce
    from overpaint.models.fingerprint import fingerprint as fingerprint
    from overpaint.models.load import load as load
    from overpaint.models.model import Model as Model
    from overpaint.patching.apply import applied as applied
    from overpaint.patching.apply import apply as apply
    from overpaint.patching.diff import diff as diff
    from overpaint.patching.files import load_patch as load_patch
    from overpaint.patching.files import save_patch as save_patch
    from overpaint.patching.lora import export_lora as export_lora
    from overpaint.pictures import Row as Row
    from overpaint.pictures import grid as grid
    from overpaint.types import Delta as Delta
    from overpaint.types import Edit as Edit
    from overpaint.types import Patch as Patch
    from overpaint.types import RelativeDelta as RelativeDelta
    from overpaint.types import Sampling as Sampling
    from overpaint.types import Site as Site


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
