"""Checksums of tensors: exact, fast where the tensor is, and the same on every device.

The bits of a value count as a 32-bit integer. Sums of integers that wrap around do not depend on
their order, so a CPU with any number of threads and a GPU agree to the last bit, which sums of
floating point numbers would not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

CHUNK = 1 << 15
"""Values behind one sum. They stay in a core's cache from one operation to the next, and are too
few for PyTorch to divide an operation among threads, which would cost more than it saves."""

_AT_ONCE = 1 << 9
"""Chunks per step where a step costs a kernel launch: 64 MiB of temporary memory."""

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_FACTORS: dict[torch.device, Tensor] = {}


def digests(tensors: Sequence[Tensor], precision: torch.dtype = torch.float32) -> list[bytes]:
    """A digest of 16 bytes for each of ``tensors``, of its values and their order.

    Args:
        tensors: Floating point tensors of any shapes, precisions and devices.
        precision: What the values are rounded to first; they are compared as float32. A tensor
            rounded to ``precision`` has the same digest as one that was stored in it.
    """
    sums = [_chunk_sums(tensor.detach(), precision) for tensor in tensors]
    return [hashlib.blake2b(part, digest_size=16).digest() for part in gathered(sums)]


def bit_sum(tensor: Tensor) -> Tensor:
    """The sum of the bits of ``tensor`` as integers of its own width, ``[1]`` int32, where it is.

    Weaker than :func:`digests` and cheaper, one reading of the tensor: it tells whether a tensor
    that nobody forges is still what it was.
    """
    bits = tensor.detach().contiguous().view(_INTEGERS[tensor.element_size()])
    return torch.sum(bits.reshape(-1), dim=0, dtype=torch.int32).reshape(1)


def gathered(parts: Sequence[Tensor]) -> list[bytes]:
    """The bytes of each of ``parts`` ``[n_i]``, of four bytes a value, on the CPU.

    There is one transfer for each device that they lie on, not one for each of them.
    """
    found: list[bytes] = [b""] * len(parts)
    for device in dict.fromkeys(part.device for part in parts):
        here = [i for i, part in enumerate(parts) if part.device == device]
        bits = torch.cat([parts[i].view(torch.int32) for i in here]).cpu().numpy().astype("<i4")
        start = 0
        for i in here:
            found[i] = bits[start : start + len(parts[i])].tobytes()
            start += len(parts[i])
    return found


def _chunk_sums(tensor: Tensor, precision: torch.dtype) -> Tensor:
    """One sum for every ``CHUNK`` values, ``[ceil(n / CHUNK)]`` int32, on the tensor's device."""
    flat, device = tensor.reshape(-1), tensor.device
    whole, rest = divmod(len(flat), CHUNK)
    step = min(1 if device.type == "cpu" else _AT_ONCE, max(whole, 1))
    sums = torch.empty(whole + (rest > 0), dtype=torch.int32, device=device)
    scratch = torch.empty(step, CHUNK, dtype=torch.int32, device=device)
    rows, factors = flat[: whole * CHUNK].view(whole, CHUNK), _factors(device)
    for i in range(0, whole, step):
        part = rows[i : i + step]
        _mixed(part, precision, factors, scratch[: len(part)], sums[i : i + len(part)])
    if rest:
        part = flat[whole * CHUNK :][None]
        _mixed(part, precision, factors[:rest], scratch[:1, :rest], sums[whole:])
    return sums


def _mixed(
    rows: Tensor, precision: torch.dtype, factors: Tensor, scratch: Tensor, out: Tensor
) -> None:
    """``out = Σ mix(bits) * factor`` of every row; ``scratch`` has the shape of ``rows``."""
    bits = rows.to(precision).to(torch.float32).view(torch.int32)
    # A bit of a product depends on lower bits only: without the shift two changes of sign, in the
    # highest bit, would cancel whatever their factors.
    torch.bitwise_right_shift(bits, 15, out=scratch)
    scratch.bitwise_xor_(bits).mul_(factors)
    torch.sum(scratch, dim=1, dtype=torch.int32, out=out)


def _factors(device: torch.device) -> Tensor:
    """``CHUNK`` odd integers that look random and never change, int32."""
    if device not in _FACTORS:
        stream = hashlib.shake_256(b"overpaint fingerprint").digest(4 * CHUNK)
        odd = np.frombuffer(stream, "<u4") | np.uint32(1)
        _FACTORS[device] = torch.from_numpy(odd.astype(np.uint32).view(np.int32)).to(device)
    return _FACTORS[device]
