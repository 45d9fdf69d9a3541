"""What turnscope itself writes: each phase as a log record when it is reached, under the phase's OpenTelemetry name.

And what its collector notes beside the records of others: who was alive, and what it could not keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope.attributes import ATTRIBUTES
from turnscope.phases import LANE, PHASES
from turnscope.ship.names import HEARTBEAT
from turnscope_analyzer.model import Capture, Mark, Process
from turnscope_analyzer.sources.otlp.records import Span
from turnscope_analyzer.sources.otlp.roles import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.sources.otlp.records import LogRecord

TURN_ID: Final = "turnscope.turn.id"
LANE_NAME: Final = "turnscope.lane"

SEEN_EVENT: Final = "turnscope.collect.seen"
"""The collector's log record of metrics, which it does not keep: their resource was alive then."""

LOST_EVENT: Final = "turnscope.collect.retention"
"""The collector's log record of files that went before their age; ``LOST_FILES`` in it says how many."""

LOST_FILES: Final = "turnscope.collect.files"

_TYPES: Final = {"VARCHAR": str, "BIGINT": int, "BOOLEAN": bool}
_PHASE: Final = {phase.otel_name: phase for phase in PHASES}


class Own:
    """The dialect of our own log records; our spans follow the conventions and are left to their dialect."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._last: dict[str, tuple[int, str]] = {}
        self._lost: dict[tuple[str, int], Process] = {}

    def take(self, record: Span | LogRecord) -> bool:
        """Take a log record that says which phase of which turn was reached, or what the collector lost."""
        if isinstance(record, Span) or not record.at_ns:
            return False
        if record.event == LOST_EVENT:
            self._lose(record)
            return True
        phase, turn_id = _PHASE.get(record.event), record.attrs.get(TURN_ID)
        if not isinstance(turn_id, str) or (phase is None and record.event != HEARTBEAT):
            return False
        process_id = "otlp:turnscope:" + str(record.resource.get("service.instance.id", ""))
        # A heartbeat says no phase, but that its process lived: without it, what hangs would not grow old.
        if record.at_ns > self._last.get(process_id, (0, ""))[0]:
            self._last[process_id] = (record.at_ns, record.file)
        if phase is None:
            return True
        named = record.attrs.get(LANE_NAME)
        lane = named if isinstance(named, str) and named.partition(":")[0] == phase.lane else phase.lane
        if LANE[phase.lane].many and lane == phase.lane:
            lane = f"{lane}:{record.span_id}"
        told = ((kind, record.attrs.get(kind.otel_name)) for kind in ATTRIBUTES)
        # Anybody may have sent it: a value of another type than its column's would stop the analysis.
        attrs = {kind.name: value for kind, value in told if type(value) is _TYPES[kind.sql_type]}
        self._marks.append(
            Mark(
                turn_id=turn_id,
                session_id=session_of(record.attrs),
                lane=lane,
                phase=phase.name,
                at_ns=record.at_ns,
                wall_ns=record.at_ns,
                seq=0,
                process_id=process_id,
                file=record.file,
                offset=record.offset,
                attrs=attrs,
            )
        )
        return True

    def captures(self) -> Iterator[Capture]:
        """Give the marks and the processes that sent them."""
        self._marks.sort(key=lambda mark: (mark.at_ns, mark.offset))
        # A batch whose receipt was lost is sent again.
        once = {(m.process_id, m.turn_id, m.lane, m.phase, m.at_ns): m for m in reversed(self._marks)}
        self._marks = list(reversed(once.values()))
        processes = [
            Process(process_id, "otlp", "unknown", horizon_ns, "its last log record", file, detail=2)
            for process_id, (horizon_ns, file) in self._last.items()
        ]
        processes += self._lost.values()
        yield Capture(processes=processes, marks=[mark._replace(seq=seq) for seq, mark in enumerate(self._marks)])

    def _lose(self, record: LogRecord) -> None:
        """Take in that files of the folder went: phases may be missing."""
        files = record.attrs.get(LOST_FILES)
        self._lost[record.file, record.offset] = Process(
            process_id=f"otlp:collect:{record.file}:{record.offset}",
            source="otlp",
            fate="unknown",
            horizon_ns=record.at_ns,
            horizon_why="when the collector deleted its oldest files",
            file=record.file,
            drops={"retention": files} if type(files) is int and files > 0 else {},
        )
