"""Painting, localization and picture targets on a second device: what they give on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import overpaint as op
from overpaint.localize.causal_trace import TraceConfig, trace_denoiser, trace_text
from overpaint.localize.locogen import LocoGenConfig, locogen
from overpaint.localize.neurons import dropout, find_neurons
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.models.clip import clip_of
from overpaint.models.load import load
from overpaint.models.model import Model

from .other_device import move, second_device

PLAIN, STYLED = ["a rose", "a cat"], ["a rose as a sketch", "a cat as a sketch"]


def generated(model: Model) -> Any:
    return [np.asarray(p) / 255 for p in op.generate(model, PLAIN, steps=2, seeds=[0, 1])]


def window_scores(model: Model) -> Any:
    config = LocoGenConfig(steps=1, window=8, seeds=(0,))
    return locogen(model, clip_of(model), "style", STYLED, PLAIN, config).scores


def neurons(model: Model) -> Any:
    patch = dropout(model, find_neurons(model, STYLED, PLAIN, [1, 2]), 3)
    return np.concatenate([f.numpy().ravel() for delta in patch.deltas for f in delta.factors])


def traced(model: Model) -> Any:
    config = TraceConfig(steps=2, seeds=(0,))
    trace = trace_denoiser(model, clip_of(model), PLAIN[:1], ["rose"], config)
    return trace.effects.numpy()


def traced_text(model: Model) -> Any:
    config = TraceConfig(steps=2, seeds=(0,))
    traces = trace_text(model, clip_of(model), "a blue rose", "rose", config)
    return np.concatenate([trace.effects.numpy().ravel() for trace in traces])


def picture_target(model: Model) -> Any:
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    config = ReFACTConfig(layer=3, steps=3, covariance_weight=0.0)
    patch = refact(model, [op.Edit("a rose", images=(picture,))], config)
    return np.concatenate([f.numpy().ravel() for delta in patch.deltas for f in delta.factors])


SLOW = [pytest.param(work, marks=pytest.mark.slow) for work in (window_scores, traced, traced_text)]


@pytest.mark.parametrize("work", [generated, neurons, picture_target, *SLOW])
def test_gives_what_the_cpu_gives(toybox: Model, work: Callable[[Model], Any]) -> None:
    wanted, there = work(toybox), load("toybox")
    with second_device():
        for part in (*there.pipeline.components.values(), there.clip):
            if isinstance(part, torch.nn.Module):
                move(part)
        found = work(there)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1 / 255)
