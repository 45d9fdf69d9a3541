"""What the gauges and counters are drawn from: this process, or the processes of a journal."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from turnscope.metrics.ledger import Over


class OpenWait(NamedTuple):
    """What an open turn waits in; ``cause`` as the label has it."""

    turn: str
    phase: str
    cause: str
    age_s: float
    is_stuck: bool


class Snapshot(NamedTuple):
    """What is open: how many turns, and each of their waits."""

    turns: int
    waits: tuple[OpenWait, ...]

    def by_phase(self) -> dict[tuple[str, str], tuple[int, float]]:
        """Return (phase, cause) -> how many, and the age of the oldest in seconds."""
        found: dict[tuple[str, str], tuple[int, float]] = {}
        for wait in self.waits:
            count, oldest_s = found.get((wait.phase, wait.cause), (0, 0.0))
            found[wait.phase, wait.cause] = (count + 1, max(oldest_s, wait.age_s))
        return found

    def stuck(self) -> dict[tuple[str, str], int]:
        """Return (phase, cause) -> how many turns are stuck there; each turn counts once, with its oldest wait."""
        worst: dict[str, OpenWait] = {}
        for wait in self.waits:
            if wait.is_stuck and (wait.turn not in worst or wait.age_s > worst[wait.turn].age_s):
                worst[wait.turn] = wait
        found: dict[tuple[str, str], int] = {}
        for wait in worst.values():
            found[wait.phase, wait.cause] = found.get((wait.phase, wait.cause), 0) + 1
        return found


class Source(Protocol):
    """Where the figures come from. `look` is called by one thread, about once a second; the others by any."""

    folder: Path | None

    def look(self, tell: Callable[[Iterable[Over]], None]) -> None:
        """See what has been recorded since the last time, and *tell* what is over."""

    def snapshot(self) -> Snapshot | None:
        """Return what is open now; None as long as that is not known."""

    def drops(self) -> Mapping[str, int]:
        """Return what was dropped so far, by reason."""


def journal_bytes(folder: Path) -> int:
    """Return what the segments in *folder* hold, as the cap of the journal counts it; 0 where nothing can be read."""
    total = 0
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):  # it went meanwhile
            total += path.stat().st_size
    return total
