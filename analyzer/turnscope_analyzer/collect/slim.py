"""Export requests as they are kept: lines of OTLP/JSON with what an analysis needs, and nothing that people said.

Only the fields that are named here are kept, and no more of them than `texts.py` lets pass. A record that no reader
could use is rejected and counted; the others of its request are kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from turnscope_analyzer.collect.lines import RECORDS, SCOPES, lines_of, seen_record
from turnscope_analyzer.collect.texts import Texts
from turnscope_analyzer.sources.otlp.kept import hex_id, integer, time_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from turnscope_analyzer.sources.otlp.wire import Signal

_MOST_EVENTS: Final = 128
_MOST_EVENT_ATTRIBUTES: Final = 32

_METRICS: Final = ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram", "summary")


@dataclass(slots=True)
class Slimmed:
    """What is kept of one request.

    Attributes:
        lines: The lines, by the signal whose files they belong to; each ends with a line feed.
        kept: Records in them that were sent.
        seen: Metric data points that were counted, and are not kept.
        rejected: Records that are not kept because no reader could use them.
        why: What was wrong with those, "" where there are none.
        senders: The resources of the request, each with its first scope; both as they are kept.
    """

    lines: dict[Signal, bytes] = field(default_factory=dict)
    kept: int = 0
    seen: int = 0
    rejected: int = 0
    why: str = ""
    senders: dict[bytes, bytes] = field(default_factory=dict)


class Slimmer:
    """Makes what is kept of export requests.

    Args:
        clock: Epoch ns; a log record without a time gets the one at which it came.
        drop: Counts what was replaced (``redacted``) or cut (``capped``).
    """

    def __init__(self, clock: Callable[[], int], drop: Callable[[str], None]) -> None:
        self._clock = clock
        self._texts = Texts(drop)
        self._drop = drop

    def slim(self, signal: Signal, groups: Sequence[object]) -> Slimmed:
        """Return what is kept of a request's resource groups, which may hold anything at all."""
        slimmed, faults = Slimmed(), Counter[str]()
        lines: dict[Signal, list[bytes]] = {}
        for group in groups:
            if not isinstance(group, dict):
                faults["a resource group that is no object"] += 1
                continue
            resource = orjson.dumps({"attributes": self._texts.attributes(_dict(group, "resource").get("attributes"))})
            for scope, records in self._scopes(signal, group, faults):
                slimmed.senders.setdefault(resource, scope)
                if signal == "metrics":
                    record, points = self._seen(records)
                    slimmed.seen += points
                    lines.setdefault("logs", []).extend(lines_of("logs", resource, scope, [record]))
                else:
                    shown = [one for record in records if (one := self._record(signal, record, faults)) is not None]
                    slimmed.kept += len(shown)
                    lines.setdefault(signal, []).extend(lines_of(signal, resource, scope, shown))
        slimmed.lines = {kind: b"".join(found) for kind, found in lines.items() if found}
        slimmed.rejected = sum(faults.values())
        slimmed.why = ", ".join(f"{count} times {fault}" for fault, count in sorted(faults.items()))
        return slimmed

    def _scopes(
        self, signal: Signal, group: Mapping[str, Any], faults: Counter[str]
    ) -> Iterator[tuple[bytes, list[object]]]:
        """Yield each scope of a resource that holds records."""
        for scope in _list(group, *SCOPES[signal]):
            if not isinstance(scope, dict):
                faults["a scope that is no object"] += 1
                continue
            named = _dict(scope, "scope")
            kept = {name: self._texts.short(named.get(name)) for name in ("name", "version")}
            if records := _list(scope, *RECORDS[signal]):
                yield orjson.dumps({name: text for name, text in kept.items() if text}), records

    def _record(self, signal: Signal, record: object, faults: Counter[str]) -> bytes | None:
        if not isinstance(record, dict):
            faults["a record that is no object"] += 1
            return None
        kept = self._span(record) if signal == "traces" else self._log(record)
        if kept is None:
            faults["a span without an id or a begin"] += 1
            return None
        return orjson.dumps({name: value for name, value in kept.items() if value not in ("", None, [], {})})

    def _span(self, span: Mapping[str, Any]) -> dict[str, object] | None:
        span_id = hex_id(_get(span, "spanId", "span_id"))
        start_ns = time_ns(_get(span, "startTimeUnixNano", "start_time_unix_nano"))
        if not span_id or not start_ns:
            return None
        status = _dict(span, "status")
        return {
            "traceId": hex_id(_get(span, "traceId", "trace_id")),
            "spanId": span_id,
            "parentSpanId": hex_id(_get(span, "parentSpanId", "parent_span_id")),
            "flags": integer(span.get("flags")),
            "name": self._texts.short(span.get("name")),
            "kind": self._enum(span.get("kind")),
            "startTimeUnixNano": str(start_ns),
            "endTimeUnixNano": _time(span, "endTimeUnixNano", "end_time_unix_nano"),
            "attributes": self._texts.attributes(span.get("attributes")),
            "events": self._events(_list(span, "events")),
            "status": _filled(code=self._enum(status.get("code")), message=self._texts.error(status.get("message"))),
        }

    def _events(self, events: list[object]) -> list[dict[str, object]]:
        if len(events) > _MOST_EVENTS:
            self._drop("capped")
        # The last ones: what a span failed with comes at its end.
        return [
            _filled(
                timeUnixNano=_time(event, "timeUnixNano", "time_unix_nano"),
                name=self._texts.short(event.get("name")),
                attributes=self._texts.attributes(event.get("attributes"), _MOST_EVENT_ATTRIBUTES),
            )
            for event in events[-_MOST_EVENTS:]
            if isinstance(event, dict)
        ]

    def _log(self, record: Mapping[str, Any]) -> dict[str, object]:
        at = _time(record, "timeUnixNano", "time_unix_nano")
        observed = _time(record, "observedTimeUnixNano", "observed_time_unix_nano")
        body = self._texts.body(record.get("body"))
        return {
            "timeUnixNano": at,
            "observedTimeUnixNano": observed if at or observed else str(self._clock()),
            "severityNumber": integer(_get(record, "severityNumber", "severity_number")),
            "severityText": self._texts.short(_get(record, "severityText", "severity_text")),
            "eventName": self._texts.short(_get(record, "eventName", "event_name")),
            "body": _filled(stringValue=body),
            "attributes": self._texts.attributes(record.get("attributes")),
            "flags": integer(record.get("flags")),
            "traceId": hex_id(_get(record, "traceId", "trace_id")),
            "spanId": hex_id(_get(record, "spanId", "span_id")),
        }

    def _seen(self, metrics: list[object]) -> tuple[bytes, int]:
        """Return a log record that says when these metrics were taken, and how many data points they have."""
        kinds = (metric.get(kind) for metric in metrics if isinstance(metric, dict) for kind in _METRICS)
        points = [
            point for kind in kinds if isinstance(kind, dict) for point in _list(kind, "dataPoints", "data_points")
        ]
        times = [time_ns(_get(point, "timeUnixNano", "time_unix_nano")) for point in points if isinstance(point, dict)]
        now_ns = self._clock()
        # By the sender's clock, like its other records; never later than now, whatever that clock shows.
        at_ns = min(max(times, default=0) or now_ns, now_ns)
        return seen_record(at_ns), len(points)

    def _enum(self, value: object) -> int | str | None:
        """Return the value of an enum: a number, or the name that some writers give."""
        whole = integer(value)
        return self._texts.short(value) if whole is None else whole


def _filled(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value not in ("", None, [])}


def _time(entry: Mapping[str, Any], camel: str, snake: str) -> str:
    found = time_ns(_get(entry, camel, snake))
    return str(found) if found else ""


def _get(entry: Mapping[str, Any], camel: str, snake: str) -> object:
    value = entry.get(camel)
    return entry.get(snake) if value is None else value


def _dict(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _list(entry: Mapping[str, Any], *names: str) -> list[object]:
    return next((value for name in names if isinstance(value := entry.get(name), list)), [])
