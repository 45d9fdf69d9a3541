"""Fills the segments of this process one after another; no line is lost between two of them.

A new segment begins with what is open, so that it can be read without the older ones. A segment whose file somebody
removed is written again from memory. Where there can be no segment the losses are counted until there can be one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from turnscope._guard import guard
from turnscope.segment import LONGEST_LINE, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from threading import RLock

    from turnscope.supply import Supply
    from turnscope.trouble import Trouble


class Writer:
    """The segment of this process, and the way to the next; the caller holds *lock* unless it says otherwise.

    ``segment`` is None before the first line, after ``close`` and while there can be none.
    """

    def __init__(
        self,
        supply: Supply,
        lock: RLock,
        *,
        carry: Callable[[], Iterable[bytes]],
        drop: Callable[[str], None],
        trouble: Trouble,
    ) -> None:
        self.segment: Segment | None = None
        self.rolled = True
        self._supply, self._lock = supply, lock
        self._carry, self._drop, self._trouble = carry, drop, trouble
        self._missed: Segment | None = None
        self._rolling = False
        self._waiting: list[bytes] = []
        self._failure: str | None = None

    def append(self, line: bytes) -> None:
        """Keep *line* in this segment or the next, or count why it could not be kept."""
        if len(line) > LONGEST_LINE:
            self._drop("too_large")
        elif self._rolling:
            self._waiting.append(line)  # a signal handler or finalizer recorded while this thread rolls
        elif self._failure is not None:
            self._drop(self._failure)
        else:
            try:
                if self.segment is None or not self.segment.write(line):
                    self._roll().write(line)
            except OSError as error:
                self._drop(self._fail(error))
            self._append_waiting()

    def look_after(self) -> None:
        """See that the file is in its place, and whether a disk that refused takes a segment again."""
        if self._failure is not None:
            self._failure = None
            try:
                self._roll()
            except OSError as error:
                self._fail(error)
        self._rescue()
        self._append_waiting()

    def prepare(self) -> None:
        """Get the next segment ready, without the lock held."""
        segment = self.segment
        if segment is not None:
            try:
                self._supply.prepare(segment)
            except OSError as error:
                self._trouble.learn(error)

    def sync(self) -> None:
        """Bring the segment to the disk itself, without the lock held. Waits for the disk."""
        try:
            with self._lock:
                fd = self.segment.duplicate_fd() if self.segment is not None else None
            if fd is not None:
                try:
                    getattr(os, "fdatasync", os.fsync)(fd)
                finally:
                    os.close(fd)
        except OSError as error:
            with self._lock:
                self._drop(self._trouble.learn(error))

    def close(self) -> None:
        """Cut the segment to its length; the next append begins another one."""
        self._rescue()
        self._leave()
        self._supply.discard()
        self._failure = None

    def abandon(self) -> None:
        """Let go of all files, without a change to them: in a forked child they are the parent's."""
        if self.segment is not None:
            self.segment.abandon()
        self._supply.abandon()

    def in_use(self) -> set[Path]:
        """Return the files that are not closed yet."""
        paths = self._supply.paths()
        return paths if self.segment is None else paths | {self.segment.path}

    def _append_waiting(self) -> None:
        while self._waiting:
            self.append(self._waiting.pop(0))

    def _roll(self) -> Segment:
        """Go on in the next segment, which begins with what is open.

        Raises:
            OSError: There is no next segment.
        """
        self._rolling = True
        try:
            rescued = self._rescue()
            if rescued is not None:
                return rescued
            self._leave()
            carry: list[bytes] = []
            with guard:
                carry += self._carry() if self._supply.number else ()
            segment = self.segment = self._supply.next(2 * sum(map(len, carry)))
            if carry:
                for line in carry:
                    segment.write(line)
                segment.write(self._supply.end_of_carry(len(carry)))
            self.rolled = True
            return segment
        finally:
            self._rolling = False

    def _rescue(self) -> Segment | None:
        """Write a segment whose file has gone into a new file.

        Returns:
            The new segment, with room for a line; None when the file is in its place, or no new one can be had.
        """
        segment = self.segment
        if segment is None or segment.in_place():
            return None
        if segment is not self._missed:
            self._missed = segment
            self._drop("folder_vanished")
        rolling, self._rolling, self.segment = self._rolling, True, None
        try:
            again = self._supply.replace(segment)
        except OSError as error:
            self.segment = segment
            self._trouble.learn(error)
            return None
        finally:
            self._rolling = rolling
        self.segment = again
        segment.abandon()
        return again

    def _leave(self) -> None:
        segment, self.segment = self.segment, None
        if segment is not None:
            try:
                segment.close()
            except OSError as error:
                self._trouble.learn(error)

    def _fail(self, error: OSError) -> str:
        """Go on without a segment until ``look_after`` finds that there can be one; return the reason."""
        self._leave()
        self._failure = self._trouble.learn(error)
        return self._failure
