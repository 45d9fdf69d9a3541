"""Who uses a file right now: open descriptors of other processes, and advisory locks.

Only processes that we may look into are seen; where there is no ``/proc``, locks alone tell.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.repair.errors import BusyError

try:
    import fcntl
except ImportError:  # Windows: no lock can be asked for.
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
RECENT_S: Final = 5.0
"""A file that was written to so recently is taken for one that is being written to."""


def why_busy(path: Path, *, readers: bool = False, recent_s: float = RECENT_S) -> str:
    """Return why somebody else seems to write to the file at *path*, "" if nobody does or there is none.

    Args:
        path: The file.
        readers: Who has it open for reading counts, too: a database is shared by all who have it open.
        recent_s: How long ago the last change has to be; 0 asks for no distance.
    """
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    pids = holders(stat.st_dev, stat.st_ino, readers=readers)
    if pids:
        named = ", ".join(f"{pid} ({_name(pid)})" for pid in pids[:3])
        return f"process {named} has it open{'' if readers else ' for writing'}"
    # A clock that was set back puts the change into the future, which proves nothing.
    if 0 <= time.time() - stat.st_mtime < recent_s:
        return f"it changed less than {recent_s:g} seconds ago"
    return ""


def holders(device: int, inode: int, *, readers: bool = False) -> list[int]:
    """Return the other processes that have the file open for writing; with *readers*, all that have it open."""
    found = []
    for process in _PROC.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        # It is gone by now, or another user's.
        with suppress(OSError):
            if _holds(process, device, inode, readers=readers):
                found.append(int(process.name))
    return sorted(found)


def _holds(process: Path, device: int, inode: int, *, readers: bool) -> bool:
    for link in (process / "fd").iterdir():
        with suppress(OSError):
            stat = link.stat()
            if (stat.st_dev, stat.st_ino) == (device, inode) and (readers or _writes(process, link.name)):
                return True
    return False


def _writes(process: Path, descriptor: str) -> bool:
    flags = re.search(r"^flags:\s*([0-7]+)$", (process / "fdinfo" / descriptor).read_text(), re.MULTILINE)
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "gone by now"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the advisory lock of the file at *path*, if there is one and the system has such locks.

    Nothing is created: a program that locks a file of its own finds it held, as if it ran twice.

    Raises:
        BusyError: Another process holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(path, "another process holds its lock") from None
        yield
    finally:
        os.close(descriptor)
