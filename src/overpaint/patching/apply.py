"""Put patches on a model and take them off again, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from overpaint.errors import ModelError, PatchError, SiteError
from overpaint.models.fingerprint import fingerprint, rounded
from overpaint.models.model import Model
from overpaint.models.weights import Layer, module_of, pop, push
from overpaint.patching.check import check_patch
from overpaint.types import Patch


@dataclass(frozen=True, eq=False)
class Applied:
    """A patch that is on a model, as returned by :func:`apply`. Keep it to take the patch off."""

    model: Model
    patch: Patch
    _layer: Layer

    @property
    def active(self) -> bool:
        """Whether the patch is still on the model."""
        return bool(self._layer.weights)

    def revert(self) -> None:
        """Take this patch off; others stay as if it had never been there. Twice is once."""
        pop(self._layer)


def apply(model: Model, patch: Patch, *, force: bool = False) -> Applied:
    """Put ``patch`` on ``model``, on top of the patches already there, until it is reverted.

    With the last patch reverted the weights have their original bits. Raises :class:`PatchError`,
    with every weight as it was, if the patch is damaged, does not fit the model's layers, or was
    computed on other weights; only the last of these can be overridden, with ``force=True``.
    """
    check_patch(patch)
    try:
        for delta in patch.deltas:
            module_of(model, delta.site)
        if not force:
            check_fingerprint(model, patch)
        return Applied(model, patch, push(model, patch.deltas))
    except (SiteError, ModelError) as error:
        raise PatchError(f"the patch does not fit this model: {error}") from error


@contextmanager
def applied(model: Model, *patches: Patch, force: bool = False) -> Iterator[Model]:
    """``model`` with ``patches`` on it, stacked in order, inside the ``with`` block.

    They are taken off at its end, also after an exception. Errors are those of :func:`apply`.
    """
    with ExitStack() as stack:
        for patch in patches:
            stack.callback(apply(model, patch, force=force).revert)
        yield model


def check_fingerprint(model: Model, patch: Patch) -> None:
    """Raise :class:`PatchError` unless ``patch`` was computed on the weights of ``model``.

    Patches that are on the model do not count: its original weights are what is compared. Weights
    that are rounded to half precision on one of the two sides count as the same.
    """
    found = fingerprint(model)
    if found in (patch.fingerprint, *patch.rounded):
        return
    if patch.fingerprint not in rounded(model):
        raise PatchError(
            f"expected a model with fingerprint {patch.fingerprint[:16] or '(none)'}, on which "
            f"this {patch.method} patch was computed, got {found[:16]} ({model.name}); load that "
            "model, or use force to put it on other weights of the same shapes"
        )
