"""The turns of this process: open ones from the recorder as they are now, ended ones from its journal.

Nothing is asked of the turns themselves, so that a mark costs what it cost before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from turnscope.metrics.ledger import Ledger
from turnscope.metrics.names import cause_of_phase
from turnscope.metrics.source import OpenWait, Snapshot
from turnscope.ship.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from turnscope.journal import Journal
    from turnscope.metrics.ledger import Over
    from turnscope.recorder import Recorder
    from turnscope.watch import Watch

YIELD_STEPS: Final = 32


class OwnTurns:
    """The turns that *recorder* records, whose rule of what is stuck is that of *watch*."""

    def __init__(self, recorder: Recorder, journal: Journal, watch: Watch) -> None:
        self.folder: Path | None = journal.folder
        self._recorder, self._journal, self._watch = recorder, journal, watch
        self._process_id = journal.process_id
        self._reader = Reader(journal.folder)
        self._ledger = Ledger()

    def look(self, tell: Callable[[Iterable[Over]], None]) -> None:
        """Read what this process wrote since the last time, its marks for processes that are gone included."""
        reader = self._reader
        reader.look()
        reader.segments = [segment for segment in reader.segments if segment.process_id == self._process_id]
        for count, (_, step) in enumerate(reader.steps(), 1):
            tell(self._ledger.take(step))
            if not count % YIELD_STEPS:
                time.sleep(0)  # a turn that waits for the interpreter gets it now, not after 5 ms

    def snapshot(self) -> Snapshot:
        """Return what the turns of this process wait in at this moment."""
        waits = tuple(
            OpenWait(wait.turn_id, wait.phase, cause_of_phase(wait.phase), wait.age_s, wait.is_stuck)
            for wait in self._watch.waits()
        )
        return Snapshot(len(self._recorder.own_turns()), waits)

    def drops(self) -> Mapping[str, int]:
        """Return what this process lost so far."""
        return self._journal.drops()
