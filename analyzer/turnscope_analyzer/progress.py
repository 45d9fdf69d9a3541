"""Show how far a long load has come, on a terminal only and only once it has taken a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_AFTER_S: Final = 1.0
_EVERY_S: Final = 0.1


class Progress:
    """A line on *stream* that is written over, and taken away by ``wipe``.

    Args:
        stream: Where to write; nothing is ever written if it is not a terminal.
        clock: Seconds that never step back.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._next_s = clock() + _AFTER_S if stream.isatty() else float("inf")
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Say that *done* of *total* is read; most calls do nothing."""
        now_s = self._clock()
        if now_s < self._next_s or total <= 0:
            return
        self._next_s = now_s + _EVERY_S
        self._stream.write(f"\rreading: {min(done * 100 // total, 100)} %")
        self._stream.flush()
        self._shown = True

    def wipe(self) -> None:
        """Take the line away, if there is one."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
