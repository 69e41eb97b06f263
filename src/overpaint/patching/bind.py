"""Patches written out: every change with factors of its own."""

from __future__ import annotations

from dataclasses import replace

from overpaint.errors import ModelError, PatchError, SiteError
from overpaint.models import weights
from overpaint.models.model import Model
from overpaint.patching.apply import check_fingerprint
from overpaint.patching.check import check_patch
from overpaint.types import Delta, Patch


def bound(patch: Patch, model: Model | None, *, force: bool = False) -> tuple[Delta, ...]:
    """The deltas of ``patch`` as plain factors, which say what they do without the model.

    Relative ones are bound to the original weights of ``model``; where there are none, ``model``
    may be None. Raises :class:`PatchError` if it is needed and not given, or is another than the
    patch was computed on (unless ``force``), or if the patch is damaged.
    """
    check_patch(patch)
    if model is None:
        plain = tuple(delta for delta in patch.deltas if isinstance(delta, Delta))
        if len(plain) < len(patch.deltas):
            raise PatchError(
                f"expected the model of this {patch.method} patch, which tells its changes by the "
                f"model's weights (fingerprint {patch.fingerprint[:16] or '(none)'}), got none; "
                "give model=load(...), on the command line --model"
            )
        return plain
    try:
        deltas = weights.written_out(model, patch.deltas)
    except (SiteError, ModelError) as error:
        raise PatchError(f"the patch does not fit this model: {error}") from error
    if not force:
        check_fingerprint(model, patch)
    return deltas


def bind(patch: Patch, model: Model, *, force: bool = False) -> Patch:
    """``patch`` with plain factors at every site: larger, and the same change bit for bit.

    Errors are those of :func:`bound`.
    """
    return replace(patch, deltas=bound(patch, model, force=force))
