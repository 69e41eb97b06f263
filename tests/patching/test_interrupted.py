"""Threads and Ctrl-C: a model is one thread's at a time, and a revert is never left half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from overpaint.models import weights
from overpaint.models.interrupt import uninterrupted
from overpaint.patching.apply import applied, apply


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests are run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def on(tiny: Any, model: Any) -> list[Any]:
    """What the books say is on ``model``."""
    places = [weights.module_of(model, site).weight for site in tiny.sites(model)]
    return [change for weight in places for change in weights.changes_on(weight)]


def test_threads_with_patches_of_their_own(tiny: Any) -> None:
    model = tiny.model()
    clean = tiny.bits(model)
    patches = [tiny.patch(model, tiny.sites(model), seed=n) for n in range(4)]
    wanted = []
    for patch in patches:
        with applied(model, patch):
            wanted.append(tiny.bits(model))
    start = threading.Barrier(len(patches))

    def work(number: int) -> int:
        start.wait()
        right = 0
        for _ in range(25):
            with applied(model, patches[number]):
                right += tiny.bits(model) == wanted[number]
        return right

    with ThreadPoolExecutor(len(patches)) as pool:
        assert list(pool.map(work, range(len(patches)))) == [25] * 4
    assert tiny.bits(model) == clean
    assert not on(tiny, model)


def test_threads_that_apply_and_revert(tiny: Any) -> None:
    """Handles stack whatever the threads; with the last one off every bit is back."""
    model = tiny.model()
    clean = tiny.bits(model)
    patches = [tiny.patch(model, tiny.sites(model), seed=n) for n in range(4)]
    start = threading.Barrier(len(patches))

    def work(number: int) -> None:
        start.wait()
        for _ in range(25):
            apply(model, patches[number]).revert()

    with ThreadPoolExecutor(len(patches)) as pool:
        list(pool.map(work, range(len(patches))))
    assert tiny.bits(model) == clean
    assert not on(tiny, model)


def test_blocks_nest_in_one_thread(tiny: Any) -> None:
    model = tiny.model()
    clean, patch = tiny.bits(model), tiny.patch(model, tiny.sites(model))
    with applied(model, patch), applied(model, patch), weights.with_deltas(model, patch.deltas):
        pass
    assert tiny.bits(model) == clean


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("block", [False, True])
def test_interrupt_counts_once_the_weights_are_back(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, at: int, block: bool
) -> None:
    model = tiny.model()
    clean, patch = tiny.bits(model), tiny.patch(model, tiny.sites(model))
    assert len(patch.deltas) == 4
    write, calls = weights._write, []

    def interrupted(*args: Any) -> None:
        calls.append(args)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGINT)
        write(*args)

    handler = signal.getsignal(signal.SIGINT)

    def work() -> None:
        if block:
            with applied(model, patch):
                monkeypatch.setattr(weights, "_write", interrupted)
        else:
            handle = apply(model, patch)
            monkeypatch.setattr(weights, "_write", interrupted)
            handle.revert()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(calls) == 4
    assert tiny.bits(model) == clean
    assert not on(tiny, model)
    assert signal.getsignal(signal.SIGINT) is handler


def test_interrupt_while_a_patch_goes_on(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block has not begun, so nothing would take the patch off."""
    model = tiny.model()
    clean, patch = tiny.bits(model), tiny.patch(model, tiny.sites(model))
    write, calls = weights._write, []

    def interrupted(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        write(*args)

    monkeypatch.setattr(weights, "_write", interrupted)

    def work() -> None:
        with applied(model, patch):
            pytest.fail("the block was entered")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert tiny.bits(model) == clean
    assert not on(tiny, model)


def test_an_error_inside_is_not_lost_behind_the_interrupt() -> None:
    def work() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("first")

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, RuntimeError)


def test_other_threads_are_not_held_back() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: uninterrupted().__enter__()).result()
    assert callable(signal.getsignal(signal.SIGINT))
