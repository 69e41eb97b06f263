"""ReFACT's loss over the contexts of one or many requests, and the search for v*.

R requests are optimised side by side; each has its own δ, contexts and anchors, and stops on its
own. ReFACT eq. 1 and 2, appendix A; the ball and the decay are those of its predecessor ROME.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.errors import EditError
from overpaint.models.suffix import Suffix
from overpaint.types import Progress


@dataclass(frozen=True, eq=False)
class Objective:
    """What δ shall minimise.

    ``suffix``   c contexts of R requests.
    ``anchors [c, N, p]``  for each context the features of the target (first), the source and
        unrelated captions; N = 1 is the direct loss.
    ``weights [c]``  of each context in its request; they sum to 1 in each.
    ``norms [R]``    ‖m₀‖ of the plain prompt.
    ``decay``        of ‖δ‖ / ‖m₀‖².
    ``cosine``       0 for L2 distance, else the scale of the cosine distance.
    """

    suffix: Suffix
    anchors: Tensor
    weights: Tensor
    norms: Tensor
    decay: float = 0.0
    cosine: float = 0.0

    def __call__(self, delta: Tensor) -> tuple[Tensor, Tensor]:
        """Loss ``[R]`` and mean probability of the target ``[R]`` at ``delta [R, d]``.

        With a single anchor, the loss is the mean distance to it and the probability is 1.
        """
        apart = self.distances(self.suffix.features(delta))
        chance = (-apart).log_softmax(dim=1)[:, 0]
        terms = -chance if self.anchors.shape[1] > 1 else apart[:, 0]
        loss = self._mean(terms) + self.decay * delta.norm(dim=1) / self.norms.square()
        return loss, self._mean(chance.detach().exp())

    def distances(self, features: Tensor) -> Tensor:
        """Of ``features [c, p]`` to the anchors of their contexts: ``[c, N]``."""
        if not self.cosine:
            return distances(features, self.anchors)
        alike = torch.nn.functional.cosine_similarity(features[:, None], self.anchors, dim=2)
        return self.cosine * (1 - alike)

    def _mean(self, terms: Tensor) -> Tensor:
        """Weighted mean of ``terms [c]`` in every request, ``[R]``."""
        total = terms.new_zeros(len(self.norms))
        return total.index_add(0, self.suffix.owner, self.weights * terms)


def distances(features: Tensor, anchors: Tensor) -> Tensor:
    """L2 from ``features [c, p]`` to ``anchors [c, N, p]``: ``[c, N]``.

    It is rounded off within a thousandth of the anchors' length. At δ = 0 the plain prompt often
    *is* the source anchor, where the direction of L2's gradient is rounding noise.
    """
    near = (1e-3 * anchors.norm(dim=2)).square()
    return ((features[:, None] - anchors).square().sum(2) + near).sqrt()


@dataclass(frozen=True, eq=False)
class Found:
    """``delta [R, d]``, and each request's ``probability``, ``loss`` and ``steps``, ``[R]``."""

    delta: Tensor
    probability: Tensor
    loss: Tensor
    steps: Tensor


def minimise(
    objective: Objective,
    radius: Tensor,
    *,
    steps: int,
    learning_rate: float,
    stop: float,
    progress: Progress | None = None,
) -> Found:
    """Adam on δ inside the ball of ``radius [R]``; a request rests once p > ``stop``.

    ReFACT appendix A: learning rate 0.05, at most 100 steps, threshold 0.99. EditError when the
    loss stops being a number.
    """
    with torch.inference_mode(False), torch.enable_grad():
        delta = torch.zeros_like(objective.suffix.value[: len(radius)]).requires_grad_()
        taken = torch.zeros(len(radius), dtype=torch.long, device=delta.device)
        adam = torch.optim.Adam([delta], lr=learning_rate)
        direct = objective.anchors.shape[1] == 1
        for step in range(steps + 1):
            loss, probability = objective(delta)
            if not torch.isfinite(loss).all():
                raise EditError(
                    "the optimisation of v* diverged; lower the learning rate or radius"
                )
            moving = (probability <= stop) | direct
            if progress:
                progress(step, steps, f"p {float(probability.mean()):.2f}")
            if step == steps or not moving.any():
                break
            (delta.grad,) = torch.autograd.grad(loss.sum(), delta)
            before = delta.detach().clone()
            adam.step()
            with torch.no_grad():
                scale = (radius / delta.norm(dim=1)).clamp(max=1)
                delta.copy_(torch.where(moving[:, None], delta * scale[:, None], before))
            taken += moving
    return Found(delta.detach(), probability, loss.detach(), taken)
