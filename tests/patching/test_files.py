"""What is saved is what is loaded; anything else in the file's place is one clear error."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file

import overpaint
from overpaint.errors import PatchError
from overpaint.models.old_fingerprint import old_fingerprints
from overpaint.patching.apply import applied, apply
from overpaint.patching.files import load_patch, read_patch_file, save_patch
from overpaint.types import Change, Delta, Edit, Patch, RelativeDelta, Site

from .conftest import names, same

DATA = Path(__file__).parent / "data"
TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def deltas(draw: st.DrawFn) -> Change:
    d_out, d_in, rank = (draw(st.integers(1, 4)) for _ in range(3))
    site = Site(
        draw(TEXT), draw(TEXT.filter(lambda n: not n.startswith("text_model."))), d_out, d_in
    )
    relative = draw(st.booleans())
    shapes = [(rank, d_in), (d_in if relative else d_out, rank)]
    a, b = (torch.from_numpy(draw(hnp.arrays("float32", s, elements=FLOATS))) for s in shapes)
    return RelativeDelta(site, b, a) if relative else Delta(site, a, b)


EDITS = st.builds(
    Edit, source=TEXT, target=TEXT, subject=TEXT, old=TEXT, destination=TEXT, images=st.just(())
)
PATCHES = st.builds(
    Patch,
    deltas=st.lists(deltas(), max_size=3).map(tuple),
    method=TEXT,
    edits=st.lists(EDITS, max_size=2).map(tuple),
    fingerprints=st.dictionaries(
        TEXT, st.lists(TEXT, min_size=1, max_size=3).map(tuple), max_size=3
    ),
    config=st.dictionaries(TEXT, JSON, max_size=3),
    info=st.dictionaries(TEXT, JSON, max_size=3),
    family=TEXT,
)


@settings(max_examples=60, deadline=None)
@given(patch=PATCHES)
def test_loaded_is_saved(patch: Patch, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("patch") / "p.safetensors"
    assert save_patch(patch, path) == path
    loaded = load_patch(path)
    assert same(loaded, patch)
    first = path.read_bytes()
    save_patch(loaded, path)
    assert path.read_bytes() == first


def test_loaded_patch_does_the_same_to_a_model(tiny: Any, patch: Patch, path: Path) -> None:
    model = tiny.model()
    with applied(model, patch):
        want = tiny.bits(model)
    with applied(model, load_patch(path)):
        assert tiny.bits(model) == want


def test_file_is_safetensors_of_kilobytes_and_names_its_maker(patch: Patch, path: Path) -> None:
    assert len(load_file(path)) == 2 * len(patch.deltas) == 8
    assert path.stat().st_size < patch.nbytes + 4096
    assert read_patch_file(path).version == overpaint.__version__
    assert names(path.parent) == [path.name]


def test_factor_that_sites_share_is_stored_once(patch: Patch, tmp_path: Path) -> None:
    one, two, three, four = patch.deltas
    shared = replace(patch, deltas=(one, replace(two, a=one.a.clone()), three, four))
    path = save_patch(shared, tmp_path / "p")
    assert load_file(path).keys() == {
        "0000.a",
        "0002.a",
        "0003.a",
        *(f"000{n}.b" for n in range(4)),
    }
    assert same(load_patch(path), shared)


def test_relative_patch_holds_its_factors_once(tiny: Any, tmp_path: Path) -> None:
    model = tiny.model()
    patch = tiny.relative(model, tiny.sites(model))
    path = save_patch(patch, tmp_path / "p")
    assert load_file(path).keys() == {"0000.a", "0000.left", "0002.a", "0002.left"}
    loaded = load_patch(path)
    assert same(loaded, patch)
    assert loaded.nbytes == patch.nbytes
    assert loaded.deltas[0].factors[1] is loaded.deltas[1].factors[1]


def test_file_of_format_1_is_still_read(tiny: Any) -> None:
    """Written by the library as it was before relative deltas: one digest of all weights."""
    model = tiny.model()
    now = tiny.patch(model, tiny.sites(model))
    one, two, three, four = now.deltas
    then = (one, replace(two, a=one.factors[0]), three, four)
    marks = {Patch.WHOLE: old_fingerprints(model)[:1]}
    want = replace(now, deltas=then, info={"rank": 2}, family="", fingerprints=marks)
    found = load_patch(DATA / "format-1.safetensors")
    assert same(found, want)
    assert found.fingerprint == marks[Patch.WHOLE][0]
    refused_elsewhere(found, tiny)


def test_file_of_format_2_is_still_read(tiny: Any, tmp_path: Path) -> None:
    """Written by the library as it was before fingerprints of components."""
    model = tiny.model()
    now = tiny.relative(model, tiny.sites(model))
    found = load_patch(DATA / "format-2.safetensors")
    assert same(found, replace(now, fingerprints={Patch.WHOLE: old_fingerprints(model)}))
    for half in (torch.float16, torch.bfloat16):
        apply(tiny.model(dtype=half), found).revert()
    assert same(load_patch(save_patch(found, tmp_path / "p")), found)
    refused_elsewhere(found, tiny)


def refused_elsewhere(patch: Patch, tiny: Any) -> None:
    """``patch`` fits the model of seed 0 and no other, whatever patch is on it."""
    model, other = tiny.model(), tiny.model(seed=5)
    with applied(model, tiny.patch(model, tiny.sites(model)), patch):
        pass
    with pytest.raises(PatchError, match=f"weights have the fingerprint {patch.fingerprint[:16]}"):
        apply(other, patch)


def test_sites_are_stored_without_the_layout_of_transformers(tiny: Any, tmp_path: Path) -> None:
    model = tiny.model(inner="text_model.")
    site = Site("text_encoder", "text_model.encoder.layers.0.mlp.fc2", 4, 6)
    path = save_patch(tiny.patch(model, (site,)), tmp_path / "p")
    assert load_patch(path).deltas[0].site.name == "encoder.layers.0.mlp.fc2"


def test_target_pictures_are_stored_as_hash_and_shape(patch: Patch, tmp_path: Path) -> None:
    picture = torch.rand(3, 64, 64)
    edits = (Edit("a rose", images=(picture,)), Edit("a lily", "a tulip"))
    path = save_patch(replace(patch, edits=edits, info={"p": 0.99}), tmp_path / "p")
    assert path.stat().st_size < patch.nbytes + 4096
    loaded = load_patch(path)
    assert loaded.edits == (Edit("a rose"), Edit("a lily", "a tulip"))
    digest = hashlib.sha256(picture.numpy().tobytes()).hexdigest()
    record = [[{"sha256": digest, "shape": [3, 64, 64]}], []]
    assert loaded.info == {"p": 0.99, "target_images": record}
    save_patch(loaded, tmp_path / "again")
    assert same(load_patch(tmp_path / "again"), loaded)


def test_loaded_patch_survives_its_file(patch: Patch, path: Path) -> None:
    loaded = load_patch(path)
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert same(loaded, patch)
