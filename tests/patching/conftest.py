"""Small models to patch: bare linear layers for speed, random pipelines of the true shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from overpaint.models.families import family_called
from overpaint.models.fingerprint import origin
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site
from overpaint.patching.files import save_patch
from overpaint.types import Change, Delta, Edit, Patch, RelativeDelta, Site

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"


FC2 = "encoder.layers.{}.mlp.fc2"


def nest(leaves: dict[str, nn.Module]) -> nn.Module:
    """A module tree that has each of ``leaves`` at its dotted name."""
    root = nn.Module()
    for name, leaf in leaves.items():
        *path, last = name.split(".")
        node = root
        for part in path:
            if not hasattr(node, part):
                node.add_module(part, nn.Module())
            node = node.get_submodule(part)
        node.add_module(last, leaf)
    return root


def make_model(seed: int = 0, dtype: torch.dtype = torch.float32, inner: str = "") -> Model:
    """Two text layers (``fc2 [4, 6]``) and one cross-attention layer (``[5, 4]``), random."""
    torch.manual_seed(seed)
    text = nest({inner + FC2.format(layer): nn.Linear(6, 4) for layer in (0, 1)})
    unet = nest({f"{ATTENTION}.{name}": nn.Linear(4, 5, bias=False) for name in ("to_k", "to_v")})
    pipeline = SimpleNamespace(text_encoder=text.to(dtype), unet=unet.to(dtype))
    return Model(pipeline, family_called("SD1"), "tiny")


def make_patch(model: Model, sites: Sequence[Site], seed: int = 0, rank: int = 2) -> Patch:
    """A random patch of ``sites`` that belongs to ``model``."""
    generator = torch.Generator().manual_seed(seed)
    deltas = tuple(
        Delta(
            site,
            torch.randn(rank, site.d_in, generator=generator),
            torch.randn(site.d_out, rank, generator=generator),
        )
        for site in sites
    )
    return _patch(model, "refact", deltas)


def make_relative(model: Model, sites: Sequence[Site], seed: int = 0, rank: int = 2) -> Patch:
    """A random patch told by the weights of ``model``; sites of one width share their factors."""
    generator = torch.Generator().manual_seed(seed)
    factors = {
        width: [torch.randn(shape, generator=generator) for shape in ((width, rank), (rank, width))]
        for width in sorted({site.d_in for site in sites})
    }
    return _patch(model, "time", tuple(RelativeDelta(s, *factors[s.d_in]) for s in sites))


def _patch(model: Model, method: str, deltas: tuple[Change, ...]) -> Patch:
    edits = (Edit("a rose", "a blue rose", subject="rose"),)
    config = {"layer": 9, "lam": 0.1}
    return Patch(deltas, method, edits, config=config, **origin(model, deltas))


def sites_of(model: Model) -> tuple[Site, ...]:
    """Every site of a model from :func:`make_model`."""
    text = tuple(Site("text_encoder", FC2.format(layer), 4, 6) for layer in (0, 1))
    return (*text, *text_sites(model))


def text_sites(model: Model) -> tuple[Site, ...]:
    """The denoiser's sites that read text."""
    return tuple(site for path in model.family.paths(model) for site in path.sites)


def bits(model: Model) -> dict[str, bytes]:
    """Every weight of a model's networks, bit for bit."""
    return {
        f"{component}.{name}": tensor.detach()
        .cpu()
        .contiguous()
        .view(torch.uint8)
        .numpy()
        .tobytes()
        for component in (*model.text_encoders, model.family.denoiser)
        for name, tensor in model.component(component).named_parameters()
    }


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """``model()``, ``patch`` and ``relative(model, sites, seed, rank)``, ``sites``, ``bits``."""
    return SimpleNamespace(
        model=make_model,
        patch=make_patch,
        relative=make_relative,
        sites=sites_of,
        bits=bits,
        nest=nest,
    )


@pytest.fixture(scope="session")
def pipeline_sites() -> Callable[[Model], tuple[Site, ...]]:
    """fc2 of two layers of every text encoder and all keys and values of the denoiser."""

    def sites(model: Model) -> tuple[Site, ...]:
        text = [mlp_site(model, n, e) for e in model.text_encoders for n in (0, 1)]
        return (*text, *text_sites(model))

    return sites


def names(folder: Path) -> list[str]:
    """The names of everything in a folder, hidden or not."""
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def patch(tiny: Any) -> Patch:
    model = tiny.model()
    return tiny.patch(model, tiny.sites(model))


@pytest.fixture
def path(patch: Patch, tmp_path: Path) -> Path:
    return save_patch(patch, tmp_path / "rose.safetensors")


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


def same(one: Patch, two: Patch) -> bool:
    """Equal in every field, and the factors bit for bit."""
    factors = [
        (type(d), d.site, *map(raw, d.factors)) == (type(e), e.site, *map(raw, e.factors))
        for d, e in zip(one.deltas, two.deltas, strict=True)
    ]
    return all(factors) and replace(one, deltas=()) == replace(two, deltas=())


def some_patches(tiny: Any, model: Any) -> list[Patch]:
    """Six that overlap: all sites, one site twice, text only, attention only; two relative."""
    sites = tiny.sites(model)
    return [
        tiny.patch(model, sites, seed=1),
        tiny.patch(model, (sites[0], sites[0]), seed=2, rank=1),
        tiny.patch(model, sites[:2], seed=3, rank=3),
        tiny.patch(model, sites[2:], seed=4),
        tiny.relative(model, sites, seed=5),
        tiny.relative(model, (sites[0], sites[0], sites[3]), seed=6, rank=3),
    ]
