"""Makes spans of what has ended: the turn, its requests and tools by the GenAI conventions, and their phases below.

Ids follow from the journal alone, so that the same turn gives the same spans whoever sends them, and whenever.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from turnscope._otel import span_id
from turnscope.phases import PHASE, lane_kind
from turnscope.process import VERSION
from turnscope.ship.names import LANE, OPEN_AT_END, OUTCOME, TURN_ID, attributes_of, names_of
from turnscope.ship.story import span_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope.ship.names import Generation
    from turnscope.ship.story import Closed, Episode, Step

SCOPE: Final = InstrumentationScope("turnscope", VERSION)

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_OWN: Final = {
    "hydration": "turnscope.hydration",
    "compaction": "turnscope.compaction",
    "continuation": "turnscope.continuation",
    "quota": "turnscope.quota.wait",
    "cancel": "turnscope.cancel",
    "renderer": "turnscope.renderer",
}
"""Spans of lanes that the conventions have none for."""

_QUEUE_WAIT: Final = "turnscope.queue.wait"
_FAILS: Final = frozenset({"failed", "interrupted", "upstream_failed", "hydration_failed", "compaction_failed"})
_OUTCOMES: Final = {"upstream_completed": "completed", "upstream_failed": "failed"}


class Spans:
    """Makes the spans of lanes that have ended, by one generation of the conventions."""

    def __init__(self, generation: Generation) -> None:
        self._names = names_of(generation)

    def of(self, closed: Closed, resource: Resource) -> Iterator[ReadableSpan]:
        """Yield the span of a lane and those of its phases."""
        if closed.lane == "turn" and not closed.episode.first_seq:
            return  # another process has the turn itself
        if closed.how != "lost" and span_in(closed.steps[0], "span"):
            return  # the program sends it when it ends; of one that is gone, nobody else does
        own = self._lane(closed, resource)
        yield own
        yield from self._phases(closed, own, resource)

    def _lane(self, closed: Closed, resource: Resource) -> ReadableSpan:
        episode, kind = closed.episode, lane_kind(closed.lane)
        attributes, name = self._attributes(closed, kind), self._name(closed, kind)
        error = _error_of(closed)
        if error:
            attributes["error.type"] = error
        failed = closed.how == "lost" or (bool(error) and error != "cancelled")
        steps = closed.steps[1:] if closed.lane != "turn" else closed.steps
        return _span(
            episode,
            name,
            span=lane_id(closed),
            parent=_parent_id(closed, kind),
            start_ns=closed.steps[0].wall_ns,
            end_ns=_end_ns(closed.steps[0], closed.end, closed.end_ns),
            attributes=attributes,
            events=[Event(PHASE[step.phase].otel_name, attributes_of(step.attrs), step.wall_ns) for step in steps],
            status=Status(StatusCode.ERROR, error or None) if failed else Status(StatusCode.UNSET),
            kind=SpanKind.CLIENT if kind == "upstream" else SpanKind.INTERNAL,
            resource=resource,
        )

    def _phases(self, closed: Closed, own: ReadableSpan, resource: Resource) -> Iterator[ReadableSpan]:
        """Yield a span for each phase of a lane with several; one alone is the lane itself."""
        steps = closed.steps
        # A turn is in `started` until it ends: that is the turn's own span.
        shown = [step for step in steps if step.phase != "started"] if closed.lane == "turn" else steps
        if len(steps) < 2:
            return
        until = dict(zip([step.seq for step in steps], [*steps[1:], closed.end], strict=True))
        for step in shown:
            end = until[step.seq]
            name = _QUEUE_WAIT if step.phase == "queued" else PHASE[step.phase].otel_name
            # Only names of our own in here: a model's or a tool's would make another request of it to who reads it.
            said = (closed.episode.turn, closed.lane, step.session or closed.episode.session)
            attributes = dict(zip((TURN_ID, LANE, self._names["session"]), said, strict=True))
            yield _span(
                closed.episode,
                name,
                span=span_id(step.process_id, step.turn, f"{step.lane}/{step.phase}", step.seq),
                parent=f"{own.context.span_id:016x}",
                start_ns=step.wall_ns,
                end_ns=_end_ns(step, end, closed.end_ns),
                attributes=attributes,
                events=[],
                status=Status(StatusCode.UNSET),
                kind=SpanKind.INTERNAL,
                resource=resource,
            )

    def _name(self, closed: Closed, kind: str) -> str:
        first = closed.steps[0].attrs
        if kind == "turn":
            return self._names["turn"]
        if kind == "upstream":
            return f"{self._names['request']} {first.get('model') or ''}".rstrip()
        if kind == "tool":
            return f"{self._names['tool']} {first.get('name') or ''}".rstrip()
        return _OWN.get(kind, f"turnscope.{kind}")

    def _attributes(self, closed: Closed, kind: str) -> dict[str, Any]:
        names, episode = self._names, closed.episode
        attributes: dict[str, Any] = {TURN_ID: episode.turn, LANE: closed.lane}
        if episode.session:
            attributes |= dict.fromkeys((names["conversation"], names["session"]), episode.session)
        for step in (closed.steps[0], closed.end):
            if step is not None and step.lane == closed.lane:
                attributes |= attributes_of(step.attrs)
        if kind != "tool":
            # On other lanes a name is that of a queue or a client, and no tool's.
            attributes.pop(names["tool_name"], None)
        if kind in {"turn", "upstream", "tool"}:
            attributes[names["operation"]] = names[{"upstream": "request"}.get(kind, kind)]
        if kind == "turn":
            attributes[OUTCOME] = "interrupted" if closed.end is None else closed.end.phase
        elif closed.how != "ended":
            attributes[OPEN_AT_END] = True
        if closed.how == "lost":
            attributes["turnscope.turn.recovered"] = True
        if kind == "tool":
            attributes[names["call_id"]] = closed.lane.partition(":")[2]
        if kind == "upstream":
            attributes |= self._of_request(closed)
        return attributes

    def _of_request(self, closed: Closed) -> dict[str, Any]:
        said: dict[str, Any] = {}
        sent = closed.steps[0]
        first = next((step for step in closed.steps if step.phase in {"first_event", "first_item"}), None)
        if first is not None:
            said[self._names["first_chunk"]] = max(0, first.mono_ns - sent.mono_ns) / 1e9
        answered = next((step for step in closed.steps if "status" in step.attrs), None)
        if answered is not None and isinstance(answered.attrs["status"], int):
            said["http.response.status_code"] = answered.attrs["status"]
        ended = _OUTCOMES.get("" if closed.end is None else closed.end.phase)
        if ended and self._names["response_status"]:
            said[self._names["response_status"]] = ended
        return said


def lane_id(closed: Closed) -> str:
    """Return the id of the span of a lane, the one that spans of other instrumentation name as their parent."""
    if closed.lane == "turn" and closed.episode.own_span:
        return closed.episode.own_span
    if closed.lane != "turn" and (own := span_in(closed.steps[0], "span")):
        return own
    first = closed.episode.first_seq if closed.lane == "turn" else closed.steps[0].seq
    return span_id(closed.episode.process_id, closed.episode.turn, closed.lane, first)


def turn_span_id(episode: Episode) -> str:
    """Return the id of the turn's span, "" where nobody knows it."""
    if episode.own_span:
        return episode.own_span
    return span_id(episode.owner, episode.turn, "turn", episode.owner_seq) if episode.owner else ""


def resource_of(header: Mapping[str, object]) -> Resource:
    """Return the resource of the process that wrote *header*; what it does not say comes from the environment."""
    said = {
        "service.name": header.get("service"),
        "service.instance.id": header.get("proc"),
        "host.name": header.get("host"),
    }
    return _resource(tuple((name, value) for name, value in said.items() if isinstance(value, str) and value))


@functools.lru_cache(maxsize=256)
def _resource(said: tuple[tuple[str, str], ...]) -> Resource:
    return Resource.create(dict(said))


def _parent_id(closed: Closed, kind: str) -> str:
    episode = closed.episode
    if kind == "turn":
        return episode.parent_id
    if above := span_in(closed.steps[0], "span_above"):
        return above
    compaction = episode.lanes.get("compaction")
    if kind == "upstream" and compaction and closed.steps[0].attrs.get("purpose") == "compaction":
        return span_id(episode.process_id, episode.turn, "compaction", compaction[0].seq)
    return turn_span_id(episode)


def _error_of(closed: Closed) -> str:
    if closed.how == "lost":
        return "process_lost"
    end = closed.end
    if end is None or closed.lane == "continuation":
        return ""
    said = end.attrs.get("error_type")
    if isinstance(said, str) and said:
        return said
    if end.phase in {"cancelled", "interrupted"}:
        return "cancelled" if end.phase == "cancelled" else "interrupted"
    return "other" if end.phase in _FAILS else ""


def _end_ns(first: Step, end: Step | None, end_ns: int) -> int:
    """Return when a span ends; a wall clock that was set back in between does not end it before it began."""
    until = end_ns if end is None else end.wall_ns
    if until < first.wall_ns and end is not None and end.process_id == first.process_id:
        return first.wall_ns + max(0, end.mono_ns - first.mono_ns)
    return max(first.wall_ns, until)


def _span(
    episode: Episode, name: str, *, span: str, parent: str, start_ns: int, end_ns: int, **more: Any
) -> ReadableSpan:
    trace = int(episode.trace_id, 16)
    above = SpanContext(trace, int(parent, 16), is_remote=False, trace_flags=_SAMPLED) if parent else None
    return ReadableSpan(
        name,
        SpanContext(trace, int(span, 16), is_remote=False, trace_flags=_SAMPLED),
        parent=above,
        start_time=start_ns,
        end_time=end_ns,
        instrumentation_scope=SCOPE,
        **more,
    )
