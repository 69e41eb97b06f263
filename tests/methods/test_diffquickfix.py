"""DiffQuickFix: the ridge solution at the output projection of the first self-attention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from overpaint.errors import EditError, OverpaintError, PromptError, SiteError
from overpaint.methods.diffquickfix import TEMPLATES, DiffQuickFixConfig, diffquickfix
from overpaint.models.model import Model
from overpaint.models.sites import attention_out_site, module_at, text_transformer
from overpaint.models.text import last_subject_token, tokenize
from overpaint.models.weights import with_deltas, written_out
from overpaint.types import Edit

ROSE = Edit("a rose", "a blue rose")


def attention_by_hand(model: Model, prompt: str) -> torch.Tensor:
    """Input of out_proj of layer 0 at all positions, ``[L, d]`` float64, from the embeddings on."""
    tower: Any = text_transformer(model.component("text_encoder"))
    layer = tower.encoder.layers[0]
    ids = tokenize(model, [prompt]).ids
    normed = layer.layer_norm1(tower.embeddings(ids))[0]
    attention = layer.self_attn
    q, k, v = (f(normed) for f in (attention.q_proj, attention.k_proj, attention.v_proj))
    heads, mixed = attention.num_heads, []
    future = torch.ones(len(normed), len(normed)).triu(1).bool()
    for h in range(heads):
        part = slice(h * q.shape[1] // heads, (h + 1) * q.shape[1] // heads)
        scores = q[:, part] @ k[:, part].T / (q.shape[1] // heads) ** 0.5
        mixed.append(scores.masked_fill(future, float("-inf")).softmax(1) @ v[:, part])
    return torch.cat(mixed, dim=1).double()


@pytest.mark.usefixtures("untouched")
@torch.no_grad()
def test_it_is_the_ridge_solution_from_the_subject_on(toybox: Model) -> None:
    patch = diffquickfix(toybox, [ROSE])
    site = attention_out_site(toybox, 0)
    assert [d.site for d in patch.deltas] == [site]
    weight = module_at(toybox, site).weight.double()
    above = 0.01 * weight
    below = 0.01 * torch.eye(weight.shape[1], dtype=torch.float64)
    count = 0
    for template in TEMPLATES:
        source = template.lower().replace("{}", "a rose")
        target = template.lower().replace("{}", "a blue rose")
        here = last_subject_token(toybox, source, "rose")
        there = last_subject_token(toybox, target, "rose")
        ours, theirs = attention_by_hand(toybox, source), attention_by_hand(toybox, target)
        for i in range(32 - here):
            k, w = ours[here + i], theirs[min(there + i, 31)]
            above = above + torch.outer(weight @ w, k)
            below = below + torch.outer(k, k)
            count += 1
    exact = above @ torch.linalg.inv(below) - weight
    assert patch.info["rows"] == count
    assert (written_out(toybox, patch.deltas)[0].dense() - exact).norm() <= 1e-3 * exact.norm()


@pytest.mark.usefixtures("untouched")
@torch.no_grad()
def test_the_projection_then_says_what_it_said_for_the_target(toybox: Model) -> None:
    patch = diffquickfix(toybox, [ROSE], DiffQuickFixConfig(templates=("{}",), lam=1e-4))
    module = module_at(toybox, patch.deltas[0].site)
    ours, theirs = (attention_by_hand(toybox, p).float() for p in ("a rose", "a blue rose"))
    wanted, before = module(theirs[3]), module(ours[2])
    with with_deltas(toybox, patch.deltas):
        after = module(ours[2])
    assert (after - wanted).norm() < 0.1 * (before - wanted).norm()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("edits", "config", "error", "words"),
    [
        ([ROSE], DiffQuickFixConfig(layer=12), SiteError, "0 to 11"),
        ([], DiffQuickFixConfig(), EditError, "at least one"),
        ([Edit("a rose", "")], DiffQuickFixConfig(), EditError, "a target"),
        ([Edit("a rose", "a rose")], DiffQuickFixConfig(), EditError, "equals the source"),
        ([Edit("a rose", "a cat", subject="dog")], DiffQuickFixConfig(), PromptError, "dog"),
        ([Edit("a rose", images=(torch.rand(3, 8, 8),))], DiffQuickFixConfig(), EditError,
         "refact"),
    ],
)  # fmt: skip
def test_bad_edits_are_refused(
    toybox: Model,
    edits: list[Edit],
    config: DiffQuickFixConfig,
    error: type[OverpaintError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        diffquickfix(toybox, edits, config)


def test_bad_settings_are_named() -> None:
    for bad, words in (({"lam": 0.0}, "λ above 0"), ({"templates": ("x",)}, "templates")):
        with pytest.raises(EditError, match=words):
            replace(DiffQuickFixConfig(), **bad)
