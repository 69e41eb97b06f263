"""Files that are no patch, or no longer one: always one clear error, and nothing lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from overpaint.errors import PatchError
from overpaint.patching.files import load_patch, save_patch
from overpaint.types import Patch

from .conftest import names, same


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
    "format 1 to 3, got 4": lambda h, t: h.update(format=4),
    "format 1 to 3, got None": lambda h, t: h.pop("format"),
    "got None;": lambda h, t: h.clear(),
    "'edits' is missing": lambda h, t: h.pop("edits"),
    "'config' is missing or no dict": lambda h, t: h.update(config=[1]),
    "checksum": lambda h, t: h["sites"][0].update(name="encoder.layers.1.mlp.fc2"),
    "its checksum": lambda h, t: t["0000.a"].add_(1),
}


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
    "'fingerprints' is missing": lambda h, t: h.pop("fingerprints"),
    "fingerprints of 'unet' as texts": lambda h, t: h["fingerprints"].update(unet=[]),
    r"got \[7\]": lambda h, t: h["fingerprints"].update(unet=[7]),
    "d_in, a, left of each site": lambda h, t: h["sites"][0].update(left=0),
    "'0000.b' is one too many": lambda h, t: h["sites"][0].update(left=h["sites"][0].pop("b")),
    r"left \[6, r\].*\[2, 6\] and \[4, 2\]": lambda h, t: (
        h["sites"][0].update(left=h["sites"][0].pop("b")),
        t.update({"0000.left": t.pop("0000.b")}),
    ),
}


@pytest.mark.parametrize("match", FORGED)
def test_changed_content_is_refused(path: Path, match: str) -> None:
    rewrite(path, FORGED[match])
    check_one_line(path, match)


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
