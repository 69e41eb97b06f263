"""The search for v* that ReFACT and its mass edits share: δ of many requests in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overpaint.methods.refact_config import ReFACTConfig
from overpaint.methods.refact_contexts import Contexts, gather
from overpaint.methods.refact_objective import Found, Objective, minimise
from overpaint.models.model import Model
from overpaint.types import Edit, Progress


@dataclass(frozen=True, eq=False)
class Search:
    """What was found for R requests: ``contexts``, δ in ``found``, and ``norms [R]``, ‖m₀‖."""

    contexts: Contexts
    found: Found
    norms: Tensor

    def info(self, r: int) -> dict[str, float]:
        """What was measured on the way for request ``r``."""
        found = self.found
        return {
            "probability": float(found.probability[r]),
            "loss": float(found.loss[r]),
            "steps": int(found.steps[r]),
            "delta_norm": float(found.delta[r].norm()),
            "value_norm": float(self.norms[r]),
        }


def search(
    model: Model,
    edits: Sequence[Edit],
    anchors: Tensor,
    config: ReFACTConfig,
    progress: Progress | None = None,
) -> Search:
    """δ of every edit, side by side, on the model as it stands now.

    ReFACT eq. 1 and 2; ``anchors [R, M, N, p]`` are those of
    :func:`overpaint.methods.refact_targets.anchors`.
    """
    contexts = gather(model, edits, config)
    state, plain = contexts.suffix, contexts.plain
    norms = state.value[plain].norm(dim=1)
    reference = torch.lerp(norms, state.stream[plain].norm(dim=1), config.stream_share)
    objective = Objective(
        state,
        anchors[state.owner, contexts.form if config.match_contexts else 0].to(norms),
        contexts.weights,
        norms,
        decay=config.weight_decay,
        cosine=config.cosine_scale if config.cosine else 0.0,
    )
    found = minimise(
        objective,
        config.radius * reference,
        steps=config.steps,
        learning_rate=config.learning_rate,
        stop=config.stop,
        progress=progress,
    )
    return Search(contexts, found, norms)


def average(values: Tensor, owner: Tensor, weights: Tensor, count: int) -> Tensor:
    """Mean of ``values [c, d]`` over each request's contexts, ``[count, d]`` float64.

    ``owner [c]`` and ``weights [c]`` as in :class:`Contexts`.
    """
    total = torch.zeros(count, values.shape[1], dtype=torch.float64, device=values.device)
    return total.index_add_(0, owner, (weights[:, None] * values).double())
