"""The thread that looks after a journal off the hot path, and what its pulse tells about time.

About once a second it leaves a proof of life. Two pulses far apart mean that the process did not run, and a wall
clock that moved against the monotonic one was set: both would make every age wrong that spans them.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope._guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_NS: Final = 250_000_000
"""A wall clock that moved by more than this between two pulses was set; slewing stays below 0.5 ms a second."""


class Keeper:
    """Calls *step* every *every_s* seconds on a daemon thread, and at once when it is woken."""

    def __init__(self, step: Callable[[], None], every_s: float) -> None:
        self._step, self._every_s = step, every_s
        self._wake = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Start the thread; where none can be had any more (the interpreter is going down) do without."""
        with guard:
            threading.Thread(target=self._run, name="turnscope-keeper", daemon=True).start()

    def wake(self) -> None:
        """Let the next step come at once."""
        self._wake.set()

    def stop(self) -> None:
        """Let the thread end, without waiting for it."""
        self._stopped = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._every_s)
            self._wake.clear()
            if self._stopped:
                return
            with guard:
                self._step()


class Reading(NamedTuple):
    """Three clocks, read together. ``boot_ns`` also counts while the host is suspended; None where there is none."""

    wall_ns: int
    mono_ns: int
    boot_ns: int | None


class ClockWatch:
    """Compares each reading of the clocks with the one before."""

    def __init__(self, gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._last: Reading | None = None

    def notes(self, now: Reading) -> list[dict[str, object]]:
        """Return the notes that the time since the last reading asks for, without ``proc``; mostly none."""
        last, self._last = self._last, now
        if last is None:
            return []
        ran_ns = now.mono_ns - last.mono_ns
        slept_ns = self._slept_ns(last, now)
        at: dict[str, object] = {"t": now.wall_ns, "m": now.mono_ns}
        between = {"from_m": last.mono_ns, "until_m": now.mono_ns}
        notes: list[dict[str, object]] = []
        if ran_ns > self._gap_ns:
            notes.append({"turnscope": "gap"} | at | between | {"kind": "frozen"})
        if slept_ns > self._gap_ns:
            notes.append({"turnscope": "gap"} | at | between | {"kind": "suspended", "slept": slept_ns})
        set_by_ns = now.wall_ns - last.wall_ns - ran_ns - slept_ns
        if abs(set_by_ns) > STEP_NS:
            notes.append({"turnscope": "step"} | at | {"by": set_by_ns})
        return notes

    def _slept_ns(self, last: Reading, now: Reading) -> int:
        """How long the monotonic clock stood still while the host was suspended."""
        ran_ns = now.mono_ns - last.mono_ns
        if now.boot_ns is not None and last.boot_ns is not None:
            return max(0, now.boot_ns - last.boot_ns - ran_ns)
        # Without a clock that counts through a suspension, a long jump ahead is taken for one: a laptop sleeps
        # more often than its clock is set ahead by more than the gap.
        ahead_ns = now.wall_ns - last.wall_ns - ran_ns
        return ahead_ns if ahead_ns > self._gap_ns else 0


def boot_clock_ns() -> int | None:
    """Read the clock that also counts while the host is suspended; None where there is none."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime_ns(clock)
