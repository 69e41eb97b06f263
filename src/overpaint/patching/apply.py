"""Put patches on a model and take them off again, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from overpaint.errors import ModelError, PatchError, SiteError
from overpaint.models.fingerprint import PRECISIONS, marks
from overpaint.models.model import Model
from overpaint.models.old_fingerprint import old_fingerprints
from overpaint.models.weights import Layer, check, exclusive, pop, push
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
        return bool(self._layer.touched)

    def revert(self, *, force: bool = False) -> None:
        """Take this patch off; others stay as if it had never been there. Twice is once.

        Raises:
            WeightsChangedError: If a weight was changed by something else since (a LoRA fused,
                weights loaded, a training step), with the patch still on. With ``force`` the
                original weights come back and that change is lost.
        """
        pop(self._layer, force=force)


def apply(model: Model, patch: Patch, *, force: bool = False) -> Applied:
    """Put ``patch`` on ``model``, on top of the patches already there, until it is reverted.

    With the last patch reverted the weights have their original bits. For use by several threads
    see :func:`applied`.

    Raises:
        PatchError: If the patch is damaged, does not fit the model's layers, needs weights in
            another form (quantised, offloaded layer by layer, fused), or was computed on other
            weights, with every weight as it was. Only the last can be overridden, with ``force``.
    """
    check_patch(patch)
    try:
        if not force:
            _check_origin(model, patch)
        return Applied(model, patch, push(model, patch.deltas))
    except (SiteError, ModelError) as error:
        raise PatchError(f"the patch does not fit this model: {error}") from error


@contextmanager
def applied(model: Model, *patches: Patch, force: bool = False) -> Iterator[Model]:
    """``model`` with ``patches`` on it, stacked in order, inside the ``with`` block.

    They are taken off at its end, also after an exception. The model is one thread's inside the
    block: others that enter such a block of the same model wait until it ends. Errors are those of
    :func:`apply` and :meth:`Applied.revert`.
    """
    with exclusive(model), ExitStack() as stack:
        for patch in patches:
            stack.callback(_revert, apply(model, patch, force=force))
        yield model


def _revert(handle: Applied) -> None:
    try:
        handle.revert()
    except KeyboardInterrupt:  # it came before `revert` could hold it back
        handle.revert()
        raise


def _check_origin(model: Model, patch: Patch) -> None:
    try:
        check_fingerprint(model, patch)
    except (PatchError, ModelError, SiteError):
        check(model, patch.deltas)  # that a LoRA is fused, for one, says more
        raise


def check_fingerprint(model: Model, patch: Patch) -> None:
    """Raise PatchError unless ``patch`` was computed on the weights of ``model``.

    Only components that the patch was computed from are compared. Patches that are on the model do
    not count: its original weights are what is compared. Weights that are rounded to half precision
    on one of the two sides count as the same.
    """
    sites = [delta.site for delta in patch.deltas]
    for name, wanted in patch.fingerprints.items() or [(Patch.WHOLE, ("",))]:
        if name == Patch.WHOLE:
            found, *rounded = old_fingerprints(model)
        else:
            (found,) = marks(model, name, sites=sites)
        if found in wanted:
            continue
        if name != Patch.WHOLE:
            rounded = marks(model, name, PRECISIONS[1:], sites)
        if wanted[0] not in rounded:
            which = f"{name} has the" if name else "weights have the"
            raise PatchError(
                f"expected a model whose {which} fingerprint {wanted[0][:16] or '(none)'}, on "
                f"which this {patch.method} patch was computed, got {found[:16]} ({model.name}); "
                "load that model, or use force to put it on other weights of the same shapes"
            )
