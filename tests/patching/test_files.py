"""What is saved is what is loaded; anything else in the file's place is one clear error."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

import overpaint
from overpaint.errors import PatchError
from overpaint.patching.apply import applied
from overpaint.patching.files import load_patch, read_patch_file, save_patch
from overpaint.types import Change, Delta, Edit, Patch, RelativeDelta, Site

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
    fingerprint=TEXT,
    config=st.dictionaries(TEXT, JSON, max_size=3),
    info=st.dictionaries(TEXT, JSON, max_size=3),
    family=TEXT,
    rounded=st.lists(TEXT, max_size=2).map(tuple),
)


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


def names(folder: Path) -> list[str]:
    """The names of everything in a folder, hidden or not."""
    return sorted(entry.name for entry in folder.iterdir())


def same(one: Patch, two: Patch) -> bool:
    """Equal in every field, and the factors bit for bit."""
    factors = [
        (type(d), d.site, *map(raw, d.factors)) == (type(e), e.site, *map(raw, e.factors))
        for d, e in zip(one.deltas, two.deltas, strict=True)
    ]
    return all(factors) and replace(one, deltas=()) == replace(two, deltas=())


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


@pytest.fixture
def patch(tiny: Any) -> Patch:
    model = tiny.model()
    return tiny.patch(model, tiny.sites(model))


@pytest.fixture
def path(patch: Patch, tmp_path: Path) -> Path:
    return save_patch(patch, tmp_path / "rose.safetensors")


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
    """Written by the library as it was before relative deltas."""
    model = tiny.model()
    now = tiny.patch(model, tiny.sites(model))
    one, two, three, four = now.deltas
    then = (one, replace(two, a=one.factors[0]), three, four)
    want = replace(now, deltas=then, info={"rank": 2}, family="", rounded=())
    assert same(load_patch(Path(__file__).parent / "data" / "format-1.safetensors"), want)


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


@pytest.mark.parametrize("kind", ["patch", "relative"])
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_file_cut_short_anywhere_is_one_clear_error(
    tiny: Any, tmp_path_factory: pytest.TempPathFactory, kind: str, share: float
) -> None:
    model = tiny.model()
    path = tmp_path_factory.mktemp("cut") / "p.safetensors"
    save_patch(getattr(tiny, kind)(model, tiny.sites(model)), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    check_one_line(path, "cut short")


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(
    tiny: Any, tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    model = tiny.model()
    patch = tiny.patch(model, tiny.sites(model))
    path = save_patch(patch, tmp_path_factory.mktemp("bit") / "p.safetensors")
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    message = ""
    try:
        loaded = load_patch(path)
    except PatchError as error:
        message = str(error)
    else:
        assert same(loaded, patch)  # a space of the header's padding, say
    assert "\n" not in message


def check_one_line(path: Path, match: str) -> None:
    with pytest.raises(PatchError, match=match) as caught:
        load_patch(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"a rose is a rose\n" * 50, b"\x89PNG\r\n" + b"\0" * 99])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    check_one_line(tmp_path / "x", "something else")


def test_other_safetensors_are_refused(tmp_path: Path) -> None:
    save_file({"lora_unet.alpha": torch.ones(1)}, tmp_path / "lora")
    check_one_line(tmp_path / "lora", "LoRA")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    check_one_line(tmp_path / "nothing", "no file")
    check_one_line(tmp_path, "folder")
    with pytest.raises(PatchError):
        load_patch("a\0b")


def rewrite(path: Path, change: Any) -> None:
    """Change header and tensors of a patch file through ``change(header, tensors)``."""
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["overpaint_patch"])
    change(header, tensors)
    path.write_bytes(save(tensors, {"overpaint_patch": json.dumps(header)}))


FORGED: dict[str, Any] = {
    "format 1 to 2, got 3": lambda h, t: h.update(format=3),
    "format 1 to 2, got None": lambda h, t: h.pop("format"),
    "got None;": lambda h, t: h.clear(),
    "'edits' is missing": lambda h, t: h.pop("edits"),
    "'config' is missing or no dict": lambda h, t: h.update(config=[1]),
    "checksum": lambda h, t: h["sites"][0].update(name="encoder.layers.1.mlp.fc2"),
    "its checksum": lambda h, t: t["0000.a"].add_(1),
}


@pytest.mark.parametrize("match", FORGED)
def test_changed_content_is_refused(path: Path, match: str) -> None:
    rewrite(path, FORGED[match])
    check_one_line(path, match)


MALFORMED: dict[str, Any] = {
    "of each site": lambda h, t: h["sites"][0].pop("d_in"),
    "d_in, a, b of each site": lambda h, t: h["sites"][0].update(d_in="6"),
    "of each edit": lambda h, t: h["edits"][0].update(images=[]),
    "source, target": lambda h, t: h.update(edits=["a rose"]),
    r"expected factors a \[r, 7\]": lambda h, t: h["sites"][0].update(d_in=7),
    "'0003.b' is missing": lambda h, t: t.pop("0003.b"),
    "'0004.a' is missing|'0000.a' is one too many": lambda h, t: h["sites"][0].update(a=4),
    "'extra' is one too many": lambda h, t: t.update(extra=torch.ones(1)),
    "float32": lambda h, t: t.update({"0000.a": t["0000.a"].half()}),
    "finite": lambda h, t: t["0000.a"].fill_(float("inf")),
    "'rounded' is missing": lambda h, t: h.pop("rounded"),
    "d_in, a, left of each site": lambda h, t: h["sites"][0].update(left=0),
    "'0000.b' is one too many": lambda h, t: h["sites"][0].update(left=h["sites"][0].pop("b")),
    r"left \[6, r\].*\[2, 6\] and \[4, 2\]": lambda h, t: (
        h["sites"][0].update(left=h["sites"][0].pop("b")),
        t.update({"0000.left": t.pop("0000.b")}),
    ),
}


@pytest.mark.parametrize("match", MALFORMED)
def test_names_and_shapes_are_checked_even_where_the_checksum_agrees(
    path: Path, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(path, MALFORMED[match])
    monkeypatch.setattr("overpaint.patching.record._checksum", lambda header, tensors: "same")
    rewrite(path, lambda h, t: h.update(sha256="same"))
    check_one_line(path, match)


def test_what_json_cannot_say_is_refused(patch: Patch, tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="plain JSON"):
        save_patch(replace(patch, config={"device": torch.device("cpu")}), tmp_path / "p")
    assert not names(tmp_path)


def test_damaged_patch_is_not_saved(patch: Patch, tmp_path: Path) -> None:
    bad = replace(patch.deltas[0], a=patch.deltas[0].a * torch.nan)
    with pytest.raises(PatchError, match="finite"):
        save_patch(replace(patch, deltas=(bad,)), tmp_path / "p")
    assert not names(tmp_path)


@pytest.mark.parametrize("place", ["missing/p", "file/p", "folder", "x" * 300, "a\0b"])
def test_unwritable_place_is_one_clear_error(patch: Patch, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PatchError, match="cannot write") as caught:
        save_patch(patch, tmp_path / place)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("stage", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_write_keeps_the_old_file_and_leaves_nothing(
    patch: Patch, path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: BaseException
) -> None:
    old = path.read_bytes()

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(stage, fail)
    wanted = PatchError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(wanted):
        save_patch(replace(patch, method="another"), path)
    assert path.read_bytes() == old
    assert names(path.parent) == [path.name]
