"""Who this process is, and whether another one, known from its segment's header, is still there.

A pid alone names nobody: it is used again within minutes. A process is known by a random id, and recognised
by host name, boot id, pid and start time together. What cannot be told is ``unknown``, never guessed.
"""

from __future__ import annotations

import functools
import os
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fate = Literal["running", "killed", "unknown"]

VERSION: Final = "0.1.0"
"""Version of the recorder, for the headers. Not read from the package's metadata: that import costs 40 ms."""

_SILENT_NS: Final = 60_000_000_000
"""A process that did not leave a pulse for so long, and cannot be asked, is taken for gone."""

_GONE_STATES: Final = "ZX"  # a zombie records nothing any more; its parent has only not asked for it yet


class Identity(NamedTuple):
    """What names a process for good, also after its end; the keys of a segment's header."""

    process_id: str
    pid: int
    pid_start: str
    host: str
    boot: str
    pid_space: str


def identify() -> Identity:
    """Draw a new process id for the calling process, and read what else tells it from others."""
    pid = os.getpid()
    stat = _stat(pid)
    start = stat.start if stat else ""
    return Identity(os.urandom(6).hex(), pid, start, os.uname().nodename, _boot_id(), _pid_space())


def call_in_forked_child(method: Callable[[], None]) -> None:
    """Call the bound *method* in every child that this process forks, as long as its object lives."""
    known = weakref.WeakMethod(method)

    def call() -> None:
        living = known()
        if living is not None:
            living()

    os.register_at_fork(after_in_child=call)


def fate_of(header: Mapping[str, object], last_pulse_ns: int | None = None) -> Fate:
    """Tell whether the process that wrote *header* is still running.

    Args:
        header: The first line of one of its segments.
        last_pulse_ns: Wall clock of the last pulse in its life file. It decides where pids cannot: a container has
            pids of its own, and one that was restarted often has the host name of the one before.

    Returns:
        ``killed`` when it is gone, however it went; ``unknown`` when it ran on another host or cannot be told.
    """
    if header.get("host") != os.uname().nodename:
        return "unknown"
    boot = header.get("boot")
    if boot and _boot_id() and boot != _boot_id():
        return "killed"
    if header.get("pid_space", _pid_space()) != _pid_space():
        silent = last_pulse_ns is not None and time.time_ns() - last_pulse_ns > _SILENT_NS
        return "killed" if silent else "unknown"
    pid = header.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return "unknown"
    return _fate_of_pid(pid, str(header.get("pid_start") or ""))


def _fate_of_pid(pid: int, start: str) -> Fate:
    stat = _stat(pid)
    if stat is not None:
        return "killed" if stat.state in _GONE_STATES or (start and stat.start != start) else "running"
    if not _exists(pid):
        return "killed"
    # It is there and hides its start time (hidepid): the same process, or a later one with its pid.
    return "unknown" if start else "running"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


class _Stat(NamedTuple):
    state: str
    start: str


def _stat(pid: int) -> _Stat | None:
    """Read state and start time (fields 3 and 22) of *pid*; None where there is no /proc or no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # Field 2 is the program's name in parentheses, and may itself hold blanks and parentheses.
    fields = text[text.rfind(")") + 1 :].split()
    return _Stat(fields[0], fields[19]) if len(fields) > 19 else None


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@functools.cache
def _pid_space() -> str:
    """Return the name of the namespace that pids are counted in; "" where there is none."""
    try:
        return Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""
