"""A SQLite database of another program, read as it stands without its owner noticing.

A live database is never opened: in WAL mode even a reader writes, into the shared index, and holds up the owner's
checkpoints. A copy of the file and its log is opened instead; a copy that a checkpoint has torn is made again.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"SQLite format 3\0"

UNREADABLE: Final = (OSError, OverflowError, sqlite3.Error, UnicodeDecodeError)
"""What opening a database, or asking it something, can raise."""

_TRIES: Final = 5
_LOGS: Final = ("-wal", "-journal")
_LOG_HEADER_BYTES: Final = 32
"""The head of a write-ahead log changes when it begins anew, and only then: what is appended to it does no harm."""


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to a private copy of the database at *path*, gone when the context ends.

    Raises:
        OSError: It cannot be copied, or it changed each time while it was being copied.
        sqlite3.Error: It is damaged; raised by any later query as well, as is the rest of ``UNREADABLE``.
    """
    with tempfile.TemporaryDirectory(prefix="turnscope-") as folder:
        copy = _copy(path, Path(folder))
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = lambda text: text.decode("utf-8", "replace")
            yield connection


def why(error: Exception) -> str:
    """Return what a reject says of an error in ``UNREADABLE``, without what is stored."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    # SQLite's own message may quote a name from a damaged schema.
    return f"cannot be read: {'a name that is no text' if isinstance(error, UnicodeDecodeError) else error}"


def _copy(path: Path, folder: Path) -> Path:
    for _ in range(_TRIES):
        before = _stamp(path)
        shutil.copyfile(path, folder / path.name)
        for ending in _LOGS:
            _copy_log(path.with_name(path.name + ending), folder)
        if _stamp(path) == before:
            return folder / path.name
    raise OSError(errno.EAGAIN, "it changed each time while it was being copied")


def _copy_log(log: Path, folder: Path) -> None:
    try:
        shutil.copyfile(log, folder / log.name)
    except FileNotFoundError:
        # There is none, or none any more: an earlier try may have left one.
        (folder / log.name).unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[object, ...]:
    """Return what differs once pages were written to the file itself."""
    stat = path.stat()
    heads = [_head(path.with_name(path.name + ending)) for ending in _LOGS]
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, *heads


def _head(log: Path) -> bytes:
    try:
        with log.open("rb") as file:
            return file.read(_LOG_HEADER_BYTES)
    except FileNotFoundError:
        return b""
