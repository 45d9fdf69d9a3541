"""The files that what arrives is appended to, one kind of signal in each, and how many of them are kept.

What was appended is in the kernel's hands and survives this process being killed; only then the sender gets its
answer. Nothing is deleted but the oldest closed files of this folder's collector, where they exceed its cap or its
age; what went for the cap is counted and told.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from turnscope_analyzer.collect.refusal import RefusedError
from turnscope_analyzer.sources.otlp.own import LOST_EVENT, LOST_FILES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from turnscope_analyzer.sources.otlp.wire import Signal

log = logging.getLogger("turnscope.collect")

PREFIX: Final = "otlp-"
_BYTES: Final = "turnscope.collect.bytes"
_LOCK: Final = "collect.pid"
_LONGEST_OPEN_NS: Final = 86_400_000_000_000
"""A file is closed after a day, however little came: only closed ones can grow too old."""

_LOOK_EVERY_NS: Final = 60_000_000_000


class FolderInUseError(Exception):
    """Another process collects into the folder; nothing was changed."""


class _File:
    """The file of one signal that is written now."""

    def __init__(self, path: Path, fd: int, begun_ns: int) -> None:
        self.path, self.begun_ns = path, begun_ns
        self.length = 0
        self._fd = fd
        self._inode = os.fstat(fd).st_ino

    def append(self, lines: bytes) -> None:
        """Write *lines*.

        Raises:
            OSError: They do not fit, or the disk fails. The file ends where it ended before.
        """
        view = memoryview(lines)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self.length)
            raise
        self.length += len(lines)

    def in_place(self) -> bool:
        """Tell whether the file is still found under its path."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        os.close(self._fd)


class Lost(NamedTuple):
    """What went because of the cap."""

    files: int
    n_bytes: int


class Store:
    """The folder of one collector. Its methods are not to be called by two threads at a time.

    Args:
        folder: Made where it is missing.
        file_bytes: Size from which on a file is closed and the next one begun.
        cap_bytes: What all files of collectors in the folder may hold together.
        keep_ns: Age from which on a closed file goes.
        clock: Epoch ns.
    """

    def __init__(
        self, folder: Path, *, file_bytes: int, cap_bytes: int, keep_ns: int, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.folder = folder
        self.lost = Lost(0, 0)
        self._file_bytes, self._cap_bytes, self._keep_ns = file_bytes, cap_bytes, keep_ns
        self._clock = clock
        self._files: dict[Signal, _File] = {}
        self._begun = 0
        self._looked_ns = 0
        self._lock: int | None = None

    def open(self) -> None:
        """Take the folder.

        Raises:
            FolderInUseError: Another process has it.
            OSError: It cannot be made or written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 20, 0).decode("ascii", "replace")
            os.close(fd)
            raise FolderInUseError(pid if pid.isdigit() else "unknown") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._lock = fd
        self._prune(self._clock())

    def append(self, signal: Signal, lines: bytes) -> None:
        """Keep *lines*, which end with a line feed.

        Raises:
            RefusedError: They cannot be kept, for the disk is full or fails; nothing of them is.
        """
        now_ns = self._clock()
        try:
            self._file_for(signal, len(lines), now_ns).append(lines)
        except OSError as error:
            self._leave(signal)
            raise RefusedError("no_room", f"cannot be kept now: {error.strerror}") from error
        if now_ns - self._looked_ns >= _LOOK_EVERY_NS:
            self._prune(now_ns)

    def close(self) -> None:
        """Close the files and give the folder back."""
        for signal in tuple(self._files):
            self._leave(signal)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _file_for(self, signal: Signal, n_bytes: int, now_ns: int) -> _File:
        """Return the file that *n_bytes* go to.

        Raises:
            OSError: None can be made.
        """
        file = self._files.get(signal)
        if file is not None:
            full = file.length and file.length + n_bytes > self._file_bytes
            if not full and now_ns - file.begun_ns < _LONGEST_OPEN_NS and file.in_place():
                return file
            self._leave(signal)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._begun += 1
        path = self.folder / f"{PREFIX}{signal}-{now_ns:019d}-{self._begun:06d}.jsonl"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._files[signal] = file = _File(path, fd, now_ns)
        self._prune(now_ns)
        return file

    def _leave(self, signal: Signal) -> None:
        file = self._files.pop(signal, None)
        if file is not None:
            file.close()
            if not file.length:
                with suppress(OSError):
                    file.path.unlink()

    def _prune(self, now_ns: int) -> None:
        """Delete the oldest closed files, as far as the cap and the age ask for it."""
        self._looked_ns = now_ns
        open_now = {file.path for file in self._files.values()}
        found = sorted(_looks(self.folder), key=lambda look: (look[1], look[0]))
        # As if the open files were full already, so that the cap holds until the next one is begun.
        growing = sum(max(0, self._file_bytes - file.length) for file in self._files.values())
        excess = sum(length for _, _, length in found) + growing - self._cap_bytes
        lost = Lost(0, 0)
        for path, written_ns, length in found:
            too_old = now_ns - written_ns > self._keep_ns
            if path not in open_now and (too_old or excess > 0):
                with suppress(OSError):
                    path.unlink()
                    excess -= length
                    lost = lost if too_old else Lost(lost.files + 1, lost.n_bytes + length)
        if lost.files:
            self._tell(lost, now_ns)

    def _tell(self, lost: Lost, now_ns: int) -> None:
        """Say what went: to whoever watches the collector, and to whoever analyzes the folder."""
        self.lost = Lost(self.lost.files + lost.files, self.lost.n_bytes + lost.n_bytes)
        log.warning(
            "the folder is over its cap: the %d oldest files went, %d bytes. Raise --keep-mib to keep more.", *lost
        )
        # Quietly left out where the disk is full: the log has said it.
        with suppress(OSError):
            note = _note(lost, now_ns)
            self._file_for("logs", len(note), now_ns).append(note)


def _looks(folder: Path) -> list[tuple[Path, int, int]]:
    """Return each file that a collector has written here, when that was the last time, and its size."""
    looks = []
    for path in folder.glob(f"{PREFIX}*.jsonl"):
        with suppress(OSError):
            status = path.stat()
            looks.append((path, status.st_mtime_ns, status.st_size))
    return looks


def _note(lost: Lost, now_ns: int) -> bytes:
    record = {
        "timeUnixNano": str(now_ns),
        "eventName": LOST_EVENT,
        "attributes": [
            {"key": LOST_FILES, "value": {"intValue": str(lost.files)}},
            {"key": _BYTES, "value": {"intValue": str(lost.n_bytes)}},
        ],
    }
    scope = {"scope": {"name": "turnscope.collect"}, "logRecords": [record]}
    return orjson.dumps({"resourceLogs": [{"resource": {}, "scopeLogs": [scope]}]}, option=orjson.OPT_APPEND_NEWLINE)
