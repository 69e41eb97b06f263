"""Checksums: equal to their definition, blind to layout, alert to every change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from overpaint.models.checksum import CHUNK, bit_sum, digests, gathered

PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)


def by_definition(values: torch.Tensor, precision: torch.dtype) -> bytes:
    """One value at a time in 64-bit integers, wrapped to 32 bits at the end."""
    stream = hashlib.shake_256(b"overpaint fingerprint").digest(4 * CHUNK)
    factors = (np.frombuffer(stream, "<u4") | 1).astype(np.uint64)
    bits = values.to(precision).float().reshape(-1).numpy().view(np.int32)
    mixed = ((bits >> 15) ^ bits).view(np.uint32).astype(np.uint64)
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(mixed), CHUNK):
        part = mixed[start : start + CHUNK]
        products = part * factors[: len(part)] % 2**32
        digest.update(int(products.sum() % 2**32).to_bytes(4, "little"))
    return digest.digest()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (CHUNK,), (2, CHUNK), (70, 1001)])
def test_digest_is_its_definition(shape: tuple[int, ...], precision: torch.dtype) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert digests([values], precision) == [by_definition(values, precision)]


@pytest.mark.parametrize("dtype", PRECISIONS[1:])
def test_stored_precision_does_not_count(dtype: torch.dtype) -> None:
    values = torch.randn(300, 200)
    half = values.to(dtype)
    assert digests([half]) == digests([half.float()]) == digests([values], dtype)
    assert digests([half], dtype) == digests([half])
    assert digests([half]) != digests([values])


def test_memory_layout_does_not_count() -> None:
    values = torch.randn(300, 200)
    assert digests([values.T.contiguous().T]) == digests([values])
    assert digests([values.T]) != digests([values])


def changed(name: str, values: torch.Tensor) -> torch.Tensor:
    flat = values.clone().reshape(-1)
    if name == "one bit":
        flat.view(torch.int32)[70_001] ^= 1
    elif name == "two signs":
        flat[[5, 70]] *= -1
    elif name == "all signs":
        flat *= -1
    elif name == "two swapped":
        flat[[5, 70]] = flat[[70, 5]]
    elif name == "chunks swapped":
        flat = torch.cat([flat[CHUNK : 2 * CHUNK], flat[:CHUNK], flat[2 * CHUNK :]])
    elif name == "one moved":
        flat = flat.roll(1)
    return flat.view_as(values)


@pytest.mark.parametrize(
    "name", ["one bit", "two signs", "all signs", "two swapped", "chunks swapped", "one moved"]
)
def test_changes_are_noticed(name: str) -> None:
    values = torch.randn(300, 400, generator=torch.Generator().manual_seed(0))
    assert digests([changed(name, values)]) != digests([values])
    assert digests([changed("none", values)]) == digests([values])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_sum_of_bits_tells_a_change_of_one_value(dtype: torch.dtype) -> None:
    values = torch.randn(30, 40).to(dtype)
    (before,) = gathered([bit_sum(values)])
    assert gathered([bit_sum(values.T.contiguous().T)]) == [before]
    values[3, 4] = torch.nextafter(values[3, 4], torch.tensor(9.0, dtype=dtype))
    assert gathered([bit_sum(values)]) != [before]


def test_parts_are_gathered_in_their_order() -> None:
    parts = [torch.arange(n, dtype=torch.int32) for n in (3, 0, 1, 2)]
    assert gathered(parts) == [part.numpy().astype("<i4").tobytes() for part in parts]
    assert gathered([]) == []
