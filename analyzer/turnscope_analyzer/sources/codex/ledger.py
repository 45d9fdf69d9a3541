"""The marks of one turn while its telemetry is still being read: they can be completed and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.model import Mark

if TYPE_CHECKING:
    from turnscope_analyzer.model import Value

Record = tuple[str, int]
"""Where a mark's record stands: a file, and the byte in it at which its export request begins."""

LIKELY: Final = "likely"
"""The kind of a compaction that is only inferred."""


class Stay(NamedTuple):
    """A compaction by its span."""

    from_ns: int
    until_ns: int
    trigger: str | None
    record: Record


class Ledger:
    """The marks of one turn in the order in which they came about; they lack a process and a place in its order."""

    def __init__(self, turn_id: str, session_id: str) -> None:
        self.marks: list[Mark] = []
        self._turn_id = turn_id
        self._session_id = session_id

    def add(self, lane: str, phase: str, at_ns: int, record: Record, **attrs: Value) -> None:
        """Add a mark; attributes that are None are not on file."""
        file, offset = record
        self.marks.append(
            Mark(
                turn_id=self._turn_id,
                session_id=self._session_id,
                lane=lane,
                phase=phase,
                at_ns=at_ns,
                wall_ns=at_ns,
                seq=0,
                process_id="",
                file=file,
                offset=offset,
                attrs={name: value for name, value in attrs.items() if value is not None},
            )
        )

    def tell(self, number: int, **attrs: Value) -> None:
        """Add to what the mark *number* says."""
        mark = self.marks[number]
        self.marks[number] = mark._replace(attrs={**mark.attrs, **attrs})

    def last(self, *, lane: str | None = None, phase: str | None = None) -> int | None:
        """Return the number of the newest mark on *lane* or of *phase*, None where there is none."""
        found = (
            number
            for number in range(len(self.marks) - 1, -1, -1)
            if lane in {None, self.marks[number].lane} and phase in {None, self.marks[number].phase}
        )
        return next(found, None)

    def stayed(self, stay: Stay) -> None:
        """Mark a compaction by its span; how it ended is told by the last of its requests."""
        inside = [mark for mark in self.marks if stay.from_ns <= mark.at_ns <= stay.until_ns]
        outcome = next((mark for mark in inside[::-1] if mark.lane.startswith("upstream:")), None)
        self.add("compaction", "compaction_started", stay.from_ns, stay.record, trigger=stay.trigger)
        if outcome is not None and outcome.phase == "upstream_failed":
            error_type = outcome.attrs.get("error_type")
            self.add("compaction", "compaction_failed", stay.until_ns, stay.record, error_type=error_type)
        else:
            self.add("compaction", "compaction_completed", stay.until_ns, stay.record)

    def take_back_compaction(self) -> None:
        """Drop the newest compaction if it was only inferred; its requests are the turn's."""
        begins = [mark for mark in self.marks if mark.phase == "compaction_started"]
        if not begins or begins[-1].attrs.get("kind") != LIKELY:
            return
        since_ns = begins[-1].at_ns
        self.marks = [
            mark._replace(attrs={name: value for name, value in mark.attrs.items() if name != "purpose"})
            if mark.at_ns >= since_ns
            else mark
            for mark in self.marks
            if mark.lane != "compaction" or mark.at_ns < since_ns
        ]
