"""The processes of this machine that have sent something, for as long as they live.

Who hangs sends nothing, and of a turn that hangs nothing else says that its process still lives: without that it
would not grow old in what was collected. The kernel knows which process a connection belongs to; it is asked (Linux
only). Of senders elsewhere, or of other users, nothing is known.
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.collect.lines import lines_of, seen_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_PROCESSES: Final = 256
_MOST_RESOURCES: Final = 16
"""Of one process; spans and log records often have resources of their own."""

_LOOK_AGAIN_NS: Final = 30_000_000_000
"""After so long a connection may be another process's, with the same port."""

_SCAN_EVERY_NS: Final = 1_000_000_000
"""A look at all processes is rare: it takes milliseconds where there are many."""

_ESTABLISHED: Final = "01"
_GONE: Final = frozenset("ZXx")


class Peer(NamedTuple):
    """The other end of a connection."""

    host: str
    port: int


@dataclass(slots=True)
class _Process:
    """A process, told from a later one with the same id by when it began (clock ticks since boot)."""

    pid: int
    began: str
    resources: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        return _began(self.pid) == self.began


class Senders:
    """Knows the local senders. Its methods are not to be called by two threads at a time.

    Args:
        clock: Epoch ns.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._processes: dict[int, _Process] = {}
        self._known: dict[Peer, tuple[int, _Process | None]] = {}
        self._scanned_ns = 0

    def met(self, peer: Peer, senders: Mapping[bytes, bytes]) -> None:
        """Take in that *peer*, whose connection is open, has sent for these resources, each with its scope."""
        process = self._process_of(peer) if senders else None
        if process is not None:
            room = _MOST_RESOURCES - len(process.resources)
            process.resources |= dict(list(senders.items())[: max(0, room)])

    def seen(self) -> bytes:
        """Return lines of log records that say of the resources of each process that lives that it does so now."""
        self._processes = {pid: process for pid, process in self._processes.items() if process.is_alive}
        record = seen_record(self._clock())
        return b"".join(
            line
            for process in self._processes.values()
            for resource, scope in process.resources.items()
            for line in lines_of("logs", resource, scope, [record])
        )

    def _process_of(self, peer: Peer) -> _Process | None:
        now_ns = self._clock()
        looked_ns, known = self._known.get(peer, (0, None))
        if now_ns - looked_ns < _LOOK_AGAIN_NS and (known is None or known.is_alive):
            return known
        inode = _inode_of(peer)
        if inode is None:
            found = None
        else:
            found = next((one for one in self._processes.values() if _holds(one.pid, inode)), None)
            if found is None and now_ns - self._scanned_ns >= _SCAN_EVERY_NS:
                self._scanned_ns = now_ns
                found = self._scan(inode)
            elif found is None:
                return None  # not looked for now, so nothing is known to be remembered
        if len(self._known) >= 4 * _MOST_PROCESSES:
            self._known.clear()
        self._known[peer] = (now_ns, found)
        return found

    def _scan(self, inode: str) -> _Process | None:
        """Look for the process that holds a socket among all that can be looked into."""
        pids: list[int] = []
        with suppress(OSError):
            pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        # The newest first: it is they who have just connected.
        for pid in sorted(pids, reverse=True):
            if pid != os.getpid() and _holds(pid, inode) and (began := _began(pid)) is not None:
                if len(self._processes) >= _MOST_PROCESSES:
                    return None
                return self._processes.setdefault(pid, _Process(pid, began))
        return None


def _inode_of(peer: Peer) -> str | None:
    """Return the kernel's number for the socket that is bound to *peer*, None where it is not of this machine."""
    try:
        wanted = _address(ipaddress.ip_address(peer.host.partition("%")[0]))
    except ValueError:
        return None
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for row in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                words = row.split()
                host, _, port = words[1].partition(":")
                if words[3] == _ESTABLISHED and int(port, 16) == peer.port and _unpacked(host) == wanted:
                    return words[9]
    return None


def _unpacked(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address of the kernel's tables: words of 32 bits, each in the byte order of the machine."""
    words = (int(digits[start : start + 8], 16).to_bytes(4, "little") for start in range(0, len(digits), 8))
    return _address(ipaddress.ip_address(b"".join(words)))


def _address(
    found: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _holds(pid: int, inode: str) -> bool:
    """Tell whether a process has a socket open, as far as we may look."""
    wanted = f"socket:[{inode}]"
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                if str(Path(entry.path).readlink()) == wanted:
                    return True
    return False


def _began(pid: int) -> str | None:
    """Return when a process began, None where there is none, or it is only not yet buried."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # Field 2 is the program's name in parentheses, and may itself hold blanks and parentheses.
    fields = text[text.rfind(")") + 1 :].split()
    return fields[19] if len(fields) > 19 and fields[0] not in _GONE else None
