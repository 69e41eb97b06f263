"""Work that Ctrl-C waits for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[list[Any]]:
    """Inside the ``with`` block Ctrl-C is held back; it counts when the block has ended.

    For short work that must not be left half done. Yields a list that is not empty once Ctrl-C was
    pressed. Only the main thread receives Ctrl-C; in others, and where a program has no handler of
    its own in Python, the block does nothing.
    """
    held: list[Any] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield held
        return
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(*held[-1])
