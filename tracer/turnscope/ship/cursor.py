"""How far a journal was sent, kept beside it; only a receipt moves it, and it is never half written.

``<journal>/ship/traces.cursor`` and ``logs.cursor`` are JSON, replaced as a whole; ``lock`` is held by the one process
that sends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger("turnscope")

Signal = Literal["traces", "logs"]

SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
"""What has a cursor each."""

FOLDER: Final = "ship"
_VERSION: Final = 1
_sync: Final = getattr(os, "fdatasync", os.fsync)  # it leaves out the times of the file, and costs a quarter
_MOST_REFUSALS: Final = 100


@dataclass(slots=True)
class Cursor:
    """Where one signal stands: what was read, what is open there, and what came of it so far.

    ``refused`` has the last hundred batches that were refused, each with its place in the journal.
    """

    at: dict[str, int] = field(default_factory=dict)
    story: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[list[Any]] = field(default_factory=list)
    sent: int = 0
    rejected: int = 0
    refused_items: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, batch: dict[str, Any], items: int) -> None:
        """Note a batch that was refused, and that stays in the journal."""
        self.refused_items += items
        self.refused = [*self.refused, batch][-_MOST_REFUSALS:]


def path_of(journal: Path, signal: Signal) -> Path:
    """Return where the cursor of a signal stands."""
    return journal / FOLDER / f"{signal}.cursor"


def load(path: Path) -> Cursor:
    """Return the cursor, a new one where there is none; a damaged one is said and begun anew.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        kept = orjson.loads(path.read_bytes())
        if kept.pop("version") != _VERSION:
            raise ValueError("another version")
        return Cursor(**kept)
    except FileNotFoundError:
        return Cursor()
    except (ValueError, TypeError, KeyError, AttributeError):
        log.warning("%s is damaged; the journal is sent again from its beginning", path)
        return Cursor()


def save(path: Path, cursor: Cursor) -> None:
    """Replace the cursor on disk.

    Raises:
        OSError: There is no room, or no right. The one that was there stands.
    """
    text = orjson.dumps({"version": _VERSION} | {name: getattr(cursor, name) for name in Cursor.__slots__})
    draft = path.with_suffix(".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(text)
        # A power cut must not leave an empty file behind the rename: everything would be sent again.
        _sync(fd)
    finally:
        os.close(fd)
    draft.replace(path)


class Lock:
    """Held by the one process that sends a journal; the kernel takes it back if that process dies."""

    def __init__(self, journal: Path) -> None:
        self._path = journal / FOLDER / "lock"
        self._fd: int | None = None

    def take(self) -> bool:
        """Take the lock; False when another process has it.

        Raises:
            OSError: The folder cannot be written.
        """
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd
        return True

    def holder(self) -> str:
        """Return the pid of who took it last, "" when it is not known."""
        with suppress(OSError, ValueError):
            return str(int(self._path.read_text("ascii")))
        return ""

    def release(self) -> None:
        """Give the lock back. In a forked child this only closes the child's hold on it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def is_unsent(segment: Path, keep_ns: int) -> bool:
    """Tell whether somebody sends this journal and has not come to the end of *segment*.

    A cursor that did not move for *keep_ns*, the time for which segments are kept, holds nothing any more: whoever
    sent the journal has stopped.
    """
    path = path_of(segment.parent, "traces")
    try:
        if time.time_ns() - path.stat().st_mtime_ns > keep_ns:
            return False
        at = _at(orjson.loads(path.read_bytes())).get(segment.name, 0)
        with segment.open("rb") as file:
            file.seek(at)
            return file.read(1) not in {b"", b"\0"}
    except (OSError, ValueError):
        return False


def _at(kept: object) -> Mapping[str, int]:
    at = kept.get("at") if isinstance(kept, dict) else None
    return at if isinstance(at, dict) else {}
