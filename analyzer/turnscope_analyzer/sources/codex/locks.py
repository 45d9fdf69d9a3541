"""The writer locks of a Codex home (0.169): which threads have a writer, and whose writer died.

A writer holds ``thread-writer-locks/<thread id>.lock`` while it lives, and removes the file when it ends well.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.codex.ids import UUID

try:
    import fcntl
except ImportError:  # Windows: no lock can be asked for, so none says anything.
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER: Final = "thread-writer-locks"
_NAME = re.compile(rf"({UUID})\.lock")
_SLACK_NS: Final = 1_000_000_000
"""The file system's clock may run ahead of the records by a tick."""


class Lock(NamedTuple):
    """One lock file. ``changed_ns`` is when it came to be where it is: no copy can carry that time over."""

    held: bool
    changed_ns: int

    def proves_death(self, last_record_ns: int) -> bool:
        """Tell whether the writer of a thread with such a last record is gone without having said so.

        A free lock proves it only where it is older than the record that its writer wrote: one that came later
        belongs to a copied home, where every lock is free.
        """
        return not self.held and self.changed_ns <= last_record_ns + _SLACK_NS


def is_lock(path: Path) -> bool:
    """Tell whether *path* is the lock of a thread; ``.coordination.lock`` is none."""
    return path.parent.name == _FOLDER and _NAME.fullmatch(path.name) is not None


def read_lock(path: Path) -> tuple[str, Lock] | None:
    """Return the thread and its lock, None where it was removed meanwhile or the system has no such locks.

    Raises:
        OSError: It cannot be opened.
    """
    name = _NAME.fullmatch(path.name)
    if name is None or fcntl is None:
        return None
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return name[1], Lock(_is_held(file), os.fstat(file).st_ctime_ns)
    finally:
        os.close(file)


def _is_held(file: int) -> bool:
    # Shared, so that two who only look do not take each other for the writer; it is given back with the file.
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
