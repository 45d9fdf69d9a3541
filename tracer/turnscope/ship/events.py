"""Makes log records: one for each phase when it is reached, and a heartbeat now and then for each that is still open.

A span is sent when it has ended; what a turn waits in right now is told by these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from turnscope._otel import span_id
from turnscope.phases import PHASE
from turnscope.process import VERSION
from turnscope.ship import names
from turnscope.ship.spans import turn_span_id
from turnscope.ship.story import span_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource

    from turnscope.life import Life
    from turnscope.ship.story import Episode, Step

_INFO: Final = 9
_WARN: Final = 13
_FAILS: Final = frozenset({"failed", "interrupted", "upstream_failed", "hydration_failed", "compaction_failed"})


class Event(NamedTuple):
    """A log record and the resource that it is of."""

    resource: Resource
    record: LogRecord


def reached(episode: Episode, step: Step, resource: Resource) -> Event | None:
    """Return the record of a phase that was reached; None of one that the vocabulary has not."""
    if step.phase not in PHASE:
        return None
    severity = _WARN if step.phase in _FAILS else _INFO
    attributes = _of_turn(episode, step) | names.attributes_of(step.attrs)
    return _event(episode, step, resource, (step.wall_ns, PHASE[step.phase].otel_name, severity), attributes)


def lost(episode: Episode, step: Step, resource: Resource, horizon_ns: int) -> Event:
    """Return the record of a turn whose process is gone; *step* is its latest mark."""
    said = {"turnscope.turn.recovered": True, "error.type": "process_lost"}
    attributes = _of_turn(episode, step._replace(lane="turn")) | said
    at_ns = max(horizon_ns, step.wall_ns)
    return _event(episode, step, resource, (at_ns, PHASE["interrupted"].otel_name, _WARN), attributes)


def heartbeats(episode: Episode, life: Life | None, resource: Resource, now_ns: int) -> Iterator[Event]:
    """Yield a record for each phase that is open; *life* has what streams in it."""
    for steps in episode.lanes.values():
        step = steps[-1]
        attributes: dict[str, Any] = _of_turn(episode, step) | {
            names.PHASE: step.phase,
            names.AGE: max(0, now_ns - step.wall_ns) / 1e9,
        }
        slot = None if life is None else life.slots.get(step.attrs.get("slot", -1))
        if slot is not None and slot.seq == step.seq:
            attributes |= {names.OWN["chunks"]: slot.chunks, names.OWN["keepalives"]: slot.keepalives}
            if slot.progress_at is not None and life is not None and life.pulse_mono_ns is not None:
                attributes[names.PROGRESS_AGE] = max(0, life.pulse_mono_ns - slot.progress_at) / 1e9
        yield _event(episode, step, resource, (now_ns, names.HEARTBEAT, _INFO), attributes)


def message_of(events: Iterable[Event]) -> ExportLogsServiceRequest:
    """Return *events* as one export request."""
    by_resource: dict[Resource, list[LogRecord]] = {}
    for event in events:
        by_resource.setdefault(event.resource, []).append(event.record)
    scope = InstrumentationScope(name="turnscope", version=VERSION)
    return ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=ResourceMessage(attributes=_pairs(resource.attributes)),
                scope_logs=[ScopeLogs(scope=scope, log_records=records)],
            )
            for resource, records in by_resource.items()
        ]
    )


def _of_turn(episode: Episode, step: Step) -> dict[str, Any]:
    said = {names.TURN_ID: step.turn, names.LANE: step.lane}
    if session := step.session or episode.session:
        known = names.names_of(1)
        said |= dict.fromkeys((known["conversation"], known["session"]), session)
    return said


def _event(
    episode: Episode, step: Step, resource: Resource, what: tuple[int, str, int], attributes: dict[str, Any]
) -> Event:
    at_ns, name, severity = what
    steps = episode.lanes.get(step.lane)
    # In a turn it hangs under the span that its lane will be, so that both are found from each other.
    first = steps[0] if steps and step.lane != "turn" else None
    within = turn_span_id(episode)
    if first is not None:
        within = span_in(first, "span") or span_id(first.process_id, first.turn, first.lane, first.seq)
    record = LogRecord(
        time_unix_nano=max(0, at_ns),
        observed_time_unix_nano=max(0, at_ns),
        severity_number=severity,  # type: ignore[arg-type]
        severity_text="WARN" if severity == _WARN else "INFO",
        body=AnyValue(string_value=name),
        attributes=_pairs({"event.name": name} | attributes),
        trace_id=bytes.fromhex(episode.trace_id),
        span_id=bytes.fromhex(within),
    )
    if hasattr(record, "event_name"):  # in the protocol since 1.5
        record.event_name = name
    return Event(resource, record)


def _pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        # A process id may be read from anywhere: what does not fit into 64 bits is told as text.
        return AnyValue(int_value=value) if -(2**63) <= value < 2**63 else AnyValue(string_value=str(value))
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=str(value))


def latest(episode: Episode) -> Step | None:
    """Return the latest mark of what is open, None where nothing is."""
    steps: Sequence[Step] = [marks[-1] for marks in episode.lanes.values()]
    return max(steps, key=lambda step: step.seq, default=None)
