"""The times that agents write onto their records, and the line that they lie on."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import Final

_STEP_NS: Final = 1_000_000_000
"""A clock that goes back by less is write jitter, by more it was set."""

END_NS: Final = 9_000_000_000_000_000_000
"""No time lies later: damaged times and durations add up, and the sum has to fit 64 bits."""


class Timeline:
    """Puts the times on records onto a line that does not go back."""

    def __init__(self) -> None:
        self.steps = 0
        self.wall_ns: int | None = None
        self._at_ns = 0
        self._shift_ns = 0

    def place(self, wall_ns: int) -> int:
        """Return the time of a record that says *wall_ns*; count it where the clock was set back before."""
        back_ns = self._at_ns - (wall_ns + self._shift_ns)
        if back_ns > _STEP_NS:
            self._shift_ns += back_ns
            self.steps += 1
        self.wall_ns = wall_ns
        self._at_ns = self.now(wall_ns)
        return self._at_ns

    def now(self, wall_ns: int) -> int:
        """Return where the wall clock's *wall_ns* lies, not before the last record."""
        return min(max(self._at_ns, wall_ns + self._shift_ns), END_NS)


def parse_time(text: object) -> int | None:
    """Return the UTC time *text* (``2026-11-21T01:05:56.675Z``) in epoch ns, None where it is not one."""
    if not isinstance(text, str):
        return None
    second_ns = _second_ns(text[:19])
    fraction = text[19:].rstrip("Z").removeprefix(".")
    if second_ns is None or (fraction and not (fraction.isascii() and fraction.isdigit())):
        return None
    return second_ns + int(fraction[:9].ljust(9, "0"))


@lru_cache(maxsize=1_024)
def _second_ns(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    # Nanoseconds in 64 bits end in 2262; a year outside is a damaged one.
    return int(moment.timestamp()) * 1_000_000_000 if 1970 <= moment.year < 2200 else None
