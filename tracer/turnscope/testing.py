"""For tests of a gateway: a clock that is stepped, ids that count up, and a journal in memory.

::

    with turnscope.testing.recorder() as recording:
        answer("hello")

    assert recording.phases() == ["accepted", "started", "completed"]
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from turnscope import current
from turnscope.inbox import Inbox
from turnscope.life import LifeFile
from turnscope.recorder import Recorder, activate, find_opentelemetry
from turnscope.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from turnscope.life import Slot
    from turnscope.watch import StuckPhase

START_NS = 1_795_223_156_000_000_000
"""What a `StepClock` shows on the wall when it is new: 2026-11-21 01:05:56 UTC."""


class StepClock:
    """A wall clock and a monotonic clock that stand still until they are stepped."""

    def __init__(self, wall_ns: int = START_NS, mono_ns: int = 1_000_000_000) -> None:
        self._wall_ns, self._mono_ns = wall_ns, mono_ns

    def wall_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return self._wall_ns

    def mono_ns(self) -> int:
        """Return nanoseconds of the monotonic clock."""
        return self._mono_ns

    def step(self, seconds: float) -> None:
        """Let *seconds* pass on both clocks."""
        self._wall_ns += round(seconds * 1e9)
        self._mono_ns += round(seconds * 1e9)

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock by *seconds*, as somebody may; the monotonic one does not move."""
        self._wall_ns += round(seconds * 1e9)


def counting_ids(prefix: str = "turn-") -> Callable[[], str]:
    """Return what draws the ids ``turn-1``, ``turn-2`` and so on."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


class MemoryJournal:
    """Keeps the lines of a recorder in a list.

    Attributes:
        lines: What was appended, in order.
        drops: What was lost, by reason.
        on_pulse: Called by `pulse`, as the journal on disk does about once a second.
        closed_with: The turns that were open when the journal was closed; ``None`` before that.
    """

    def __init__(self, clock: StepClock | None = None, process_id: str = "000000000001") -> None:
        self.process_id = process_id
        self.lines: list[bytes] = []
        self.drops: Counter[str] = Counter()
        self.on_pulse: list[Callable[[], None]] = []
        self.closed_with: list[str] | None = None
        self._life = LifeFile(process_id, 1, (clock or StepClock()).mono_ns)

    def append(self, line: bytes) -> None:
        """Keep one whole line."""
        self.lines.append(line)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count a loss."""
        self.drops[reason] += count

    def slot(self, seq: int) -> Slot | None:
        """Return a progress slot; there are as many as on disk."""
        slot = self._life.lend(seq)
        if slot is None:
            self.drop("slots_full")
        return slot

    def close(self, open_turns: Iterable[str]) -> None:
        """Remember which turns were open."""
        self.closed_with = list(open_turns)

    def pulse(self) -> None:
        """Do what hangs on the pulse."""
        for hook in self.on_pulse:
            hook()

    def marks(self, turn_id: str | None = None) -> list[dict[str, Any]]:
        """Return the marks, of one turn or of all, in the order in which they were written."""
        marks = [orjson.loads(line) for line in self.lines]
        return [mark for mark in marks if turn_id is None or mark["turn"] == turn_id]


class Recording:
    """What `recorder` records.

    Attributes:
        recorder: The recorder that is active.
        journal: Where it writes.
        clock: What it reads.
    """

    def __init__(self, recorder: Recorder, journal: MemoryJournal, clock: StepClock) -> None:
        self.recorder, self.journal, self.clock = recorder, journal, clock

    def marks(self, turn_id: str | None = None) -> list[dict[str, Any]]:
        """Return the marks, of one turn or of all, in the order in which they were written."""
        return self.journal.marks(turn_id)

    def phases(self, turn_id: str | None = None) -> list[str]:
        """Return the phases that were reached, in order."""
        return [mark["phase"] for mark in self.marks(turn_id)]

    def last(self) -> dict[str, Any]:
        """Return the latest mark."""
        mark: dict[str, Any] = orjson.loads(self.journal.lines[-1])
        return mark


@contextlib.contextmanager
def recorder(
    *,
    budgets: Mapping[str, tuple[float, float]] | None = None,
    inbox: Path | None = None,
    on_stuck: Callable[[StuckPhase], None] | None = None,
    opentelemetry: bool = False,
) -> Iterator[Recording]:
    """Record into memory inside of the ``with``, with a clock that stands still and ids that count up.

    Args:
        budgets: Phase -> (seconds until slow, seconds until stuck).
        inbox: The folder for prompts; none is kept when left out.
        on_stuck: Called by ``journal.pulse()`` once for each wait that has passed its budget.
        opentelemetry: Carry OpenTelemetry's context along.
    """
    clock = StepClock()
    journal = MemoryJournal(clock)
    recording = Recorder(
        journal,
        wall_ns=clock.wall_ns,
        mono_ns=clock.mono_ns,
        new_id=counting_ids(),
        inbox=None if inbox is None else Inbox(inbox),
    )
    if on_stuck is not None:
        journal.on_pulse.append(Watch(recording, budgets or {}, on_stuck).check)
    otel_before = current.use_opentelemetry(find_opentelemetry() if opentelemetry else None)
    before = activate(recording)
    try:
        yield Recording(recording, journal, clock)
    finally:
        activate(before)
        current.use_opentelemetry(otel_before)
