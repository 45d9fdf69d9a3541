"""The gateway's processes: when each began and ended, and whether the last one lives on this host.

Nothing in a state folder names its host. That a process lives is proven by its id and the time it started; that it is
gone only where the folder lies in its own place: a copy of another host's says nothing about processes here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.objects import parse_object
from turnscope_analyzer.sources.openclaw.records import Where, time_ns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.model import Fate

_PROC: Final = Path("/proc")
_PIDS: Final = re.compile(rb"^NSpid:\s*([\d\s]+?)$", re.MULTILINE)


class Boot(NamedTuple):
    """One run of the gateway; ``ended_ns`` is None where it did not say that it was done."""

    started_ns: int
    ended_ns: int | None
    pid: int | None
    where: Where


class Lock(NamedTuple):
    """The lock of a session that a run writes to (before 2026.9); ``starttime`` is the kernel's, in ticks."""

    pid: int
    starttime: int | None
    created_ns: int | None


def read_lock(path: Path) -> Lock | None:
    """Read a session's lock, None where it is damaged.

    Raises:
        OSError: The file cannot be opened or read.
    """
    content = parse_object(path.read_bytes()[:4096])
    pid, starttime = (content.get("pid"), content.get("starttime")) if content is not None else (None, None)
    if content is None or type(pid) is not int:
        return None
    created_ns = time_ns(content.get("createdAt"))
    return Lock(pid, starttime if type(starttime) is int else None, created_ns)


def fate_of_lock(lock: Lock, *, in_place: bool) -> Fate:
    """Tell whether the process that took *lock* lives."""
    for process in _named(lock.pid):
        if lock.starttime is not None and _starttime(process) == lock.starttime:
            return "running"
    return "killed" if in_place and lock.starttime is not None and _PROC.is_dir() else "unknown"


def fate_of_boot(boot: Boot, store: Path, *, in_place: bool) -> Fate:
    """Tell whether the gateway lives that *boot* is about: a living one keeps its *store* open."""
    if boot.ended_ns is not None:
        return "ended"
    if boot.pid is None or not _PROC.is_dir():
        return "unknown"
    for process in _named(boot.pid):
        held = _holds(process, store)
        if held is None:
            # Another user's: it cannot be looked into.
            return "unknown"
        if held:
            return "running"
    return "killed" if in_place else "unknown"


def own_folders() -> set[str]:
    """Return the real paths of the state folders that a gateway of this user would have on this host."""
    homes = [Path(home) for name in ("OPENCLAW_HOME", "HOME") if (home := os.environ.get(name))]
    found = {os.path.realpath(folder) for home in homes for folder in home.glob(".openclaw*")}
    if told := os.environ.get("OPENCLAW_STATE_DIR"):
        found.add(os.path.realpath(told))
    return found


def _named(pid: int) -> Iterator[Path]:
    """Yield the processes that have this id here or in a container."""
    for process in _PROC.glob("[0-9]*"):
        try:
            pids = _PIDS.search((process / "status").read_bytes())
        except OSError:
            # It is gone by now.
            continue
        if pids is not None and str(pid).encode() in pids[1].split():
            yield process


def _starttime(process: Path) -> int | None:
    try:
        # The name of the program stands in parentheses and may hold anything, also parentheses.
        fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if len(fields) > 19 else None


def _holds(process: Path, store: Path) -> bool | None:
    """Tell whether *process* has *store* open, by its inode: in a container the path is another one."""
    try:
        wanted = store.stat()
        links = list((process / "fd").iterdir())
    except PermissionError:
        return None
    except OSError:
        return False
    for link in links:
        try:
            held = link.stat()
        except OSError:
            continue
        if (held.st_dev, held.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False
