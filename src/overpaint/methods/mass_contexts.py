"""The contexts of mass edits: where the subject of every edit stands, and what is read there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from overpaint.methods.common import fits
from overpaint.methods.mass_config import MassConfig
from overpaint.methods.mentions import mentions, position
from overpaint.methods.refact_contexts import counted, placed
from overpaint.methods.refact_targets import corpus_of
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer
from overpaint.models.text import hidden_states, tokenize
from overpaint.types import Edit

AT_ONCE = 128  # prompts that are read side by side


@dataclass(frozen=True, eq=False)
class Places:
    """Where c contexts have their subject: ``prompts [c]``, ``positions [c]``.

    ``owner [c]`` and ``weights [c]`` as in :class:`overpaint.methods.refact_contexts.Contexts`.
    """

    prompts: Sequence[str]
    positions: Tensor
    owner: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class Read:
    """c contexts: ``key [c, d_in]`` of fc2 and residual ``stream [c, d]`` after its layer."""

    key: Tensor
    stream: Tensor
    owner: Tensor
    weights: Tensor


def places(model: Model, edits: Sequence[Edit], config: MassConfig) -> Places:
    """Every edit's templates, and the captions that mention it; all weigh the same in an edit."""
    found: list[tuple[int, str, int]] = []
    for owner, edit in enumerate(edits):
        forms = placed(model, edit, config)
        found += [(owner, *forms[template]) for template in counted(config, forms)]
    for mention in mentions(corpus_of(model, config).captions, edits, config.mentions):
        if fits(model, mention.caption, config.component):
            there = position(model, mention, config.component)
            found.append((mention.owner, mention.caption, there))
    found.sort(key=lambda place: place[0])
    owners, prompts, positions = zip(*found, strict=True)
    owner = torch.tensor(owners)
    weights = 1 / owner.bincount(minlength=len(edits))[owner]
    return Places(prompts, torch.tensor(positions), owner, weights)


def read(model: Model, where: Places, layer: int, config: MassConfig) -> Read:
    """Keys at ``layer`` and streams at the last one, on the model as it stands now."""
    stack: Any = text_transformer(model.component(config.component))
    fc2, after = stack.encoder.layers[layer].mlp.fc2, stack.encoder.layers[config.layer + 1]
    keys, streams = [], []
    for start in range(0, len(where.prompts), AT_ONCE):
        positions = where.positions[start : start + AT_ONCE]
        tokens = tokenize(model, where.prompts[start : start + AT_ONCE], config.component)
        with record(fc2, after) as (inner, outer):
            hidden_states(model, tokens.trimmed(), config.component)
        rows = torch.arange(len(positions))
        keys.append(inner[0][rows, positions].float())
        streams.append(outer[0][rows, positions].float())
    key, stream = torch.cat(keys), torch.cat(streams)
    return Read(key, stream, where.owner.to(key.device), where.weights.to(key.device))
