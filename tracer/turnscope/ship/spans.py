"""Says which spans there are of what has ended: the turn, its requests and tools by the GenAI conventions, and phases.

Ids follow from the journal alone, so that the same turn gives the same spans whoever sends them, and whenever. What a
span is written as is up to a writer: an object of the SDK, or the bytes that go over the wire.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from turnscope._otel import span_key
from turnscope.phases import PHASES, lane_kind
from turnscope.ship.names import LANE, OPEN_AT_END, OUTCOME, TURN_ID, attributes_of, names_of
from turnscope.ship.story import span_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from turnscope.ship.names import Generation
    from turnscope.ship.story import Closed, Episode, How, Step

R_contra = TypeVar("R_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")

_OWN: Final = {
    "hydration": "turnscope.hydration",
    "compaction": "turnscope.compaction",
    "continuation": "turnscope.continuation",
    "quota": "turnscope.quota.wait",
    "cancel": "turnscope.cancel",
    "renderer": "turnscope.renderer",
}
"""Spans of lanes that the conventions have none for."""

_ODD: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1
_PHASE_NAMES: Final = {phase.name: phase.otel_name for phase in PHASES} | {"queued": "turnscope.queue.wait"}
"""Spans of phases."""

_FAILS: Final = frozenset({"failed", "interrupted", "upstream_failed", "hydration_failed", "compaction_failed"})
_OUTCOMES: Final = {"upstream_completed": "completed", "upstream_failed": "failed"}

lane_key: Final = functools.lru_cache(maxsize=512)(span_key)
"""`span_key` for what is asked for again and again: the id of a lane, and of the turn above it."""


class Writer(Protocol[R_contra, T_co]):
    """Writes spans. Ids of traces are 32 hex digits, those of spans 8 bytes; attributes are strings and numbers."""

    def lane(
        self,
        resource: R_contra,
        trace_id: str,
        name: str,
        *,
        span: bytes,
        parent: bytes,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, Any],
        steps: Sequence[Step],
        error: str,
        is_client: bool,
    ) -> T_co:
        """Return the span of a lane.

        Args:
            resource: What it is of.
            trace_id: The turn's trace.
            name: Its name.
            span: Its id.
            parent: The id of the span above it, empty where there is none.
            start_ns: When it began, wall clock.
            end_ns: When it ended.
            attributes: Its attributes.
            steps: Marks that are its events.
            error: Why it failed; empty: it did not.
            is_client: Whether its kind is CLIENT, and not INTERNAL.
        """

    def phases(
        self, resource: R_contra, trace_id: str, *, parent: bytes, attributes: Mapping[str, Any]
    ) -> Callable[[str, bytes, int, int], T_co]:
        """Return what writes the spans of one lane's phases, by name, id, begin and end."""


class Spans(Generic[R, T]):
    """Makes the spans of lanes that have ended, by one generation of the conventions, as *writer* writes them."""

    def __init__(self, generation: Generation, writer: Writer[R, T]) -> None:
        self._names = names_of(generation)
        self._writer = writer

    def of(self, closed: Closed, resource: R) -> list[T]:
        """Return the span of a lane and those of its phases."""
        episode, lane, steps, _, _, how = closed
        if lane == "turn" and not episode.first_seq:
            return []  # another process has the turn itself
        given = span_in(steps[0], "span")
        if given and how != "lost":
            return []  # the program sends it when it ends; of one that is gone, nobody else does
        own = lane_id(closed, given)
        made = [self._lane(closed, own, resource)]
        if len(steps) > 1:
            self._add_phases(made, closed, own, resource)
        return made

    def _lane(self, closed: Closed, own: bytes, resource: R) -> T:
        episode, lane, steps, end, end_ns, how = closed
        first, kind = steps[0], lane_kind(lane)
        attributes = self._attributes(closed, kind)
        error = _error_of(lane, end, how)
        if error:
            attributes["error.type"] = error
        return self._writer.lane(
            resource,
            episode.trace_id,
            self._name(first, kind),
            span=own,
            parent=_parent_id(episode, first, kind),
            start_ns=first.wall_ns,
            end_ns=_end_ns(first, end, end_ns),
            attributes=attributes,
            steps=steps if kind == "turn" else steps[1:],
            error="" if error == "cancelled" and how != "lost" else error,
            is_client=kind == "upstream",
        )

    def _add_phases(self, made: list[T], closed: Closed, own: bytes, resource: R) -> None:
        """Add a span for each phase of a lane with several; one alone is the lane itself."""
        episode, lane, steps, last, end_ns, _ = closed
        above = int.from_bytes(own, "big")
        # Only names of our own in here: a model's or a tool's would make another request of it to who reads it.
        session = steps[0].session or episode.session
        attributes = {LANE: lane, TURN_ID: episode.turn, self._names["session"]: session}
        write = self._writer.phases(resource, episode.trace_id, parent=own, attributes=attributes)
        for step, end in zip(steps, [*steps[1:], last], strict=True):
            _, _, _, phase, start_ns, _, seq, _, _ = step
            # A turn is in `started` until it ends: that is the turn's own span.
            if phase == "started" and lane == "turn":
                continue
            # Another hash of each would cost a fifth of a phase. Odd by odd is never 0, and never twice the same.
            span = (above ^ ((2 * seq + 1) * _ODD & _MASK)).to_bytes(8, "big")
            made.append(write(_PHASE_NAMES[phase], span, start_ns, _end_ns(step, end, end_ns)))

    def _name(self, first: Step, kind: str) -> str:
        if kind == "turn":
            return self._names["turn"]
        if kind == "upstream":
            return f"{self._names['request']} {first.attrs.get('model') or ''}".rstrip()
        if kind == "tool":
            return f"{self._names['tool']} {first.attrs.get('name') or ''}".rstrip()
        return _OWN.get(kind) or f"turnscope.{kind}"

    def _attributes(self, closed: Closed, kind: str) -> dict[str, Any]:
        names = self._names
        episode, lane, steps, end, _, how = closed
        first = steps[0].attrs
        attributes = attributes_of(first) if first else {}
        if end is not None and end.attrs and end.lane == lane:
            attributes |= attributes_of(end.attrs)
        attributes[TURN_ID], attributes[LANE] = episode.turn, lane
        if session := episode.session:
            attributes[names["conversation"]] = attributes[names["session"]] = session
        if kind == "upstream":
            attributes[names["operation"]] = names["request"]
            self._add_of_request(attributes, steps, end)
        elif kind == "tool":
            attributes[names["operation"]] = names["tool"]
            attributes[names["call_id"]] = lane.partition(":")[2]
        elif kind == "turn":
            attributes[names["operation"]] = names["turn"]
            attributes[OUTCOME] = "interrupted" if end is None else end.phase
        if kind != "tool":
            # On other lanes a name is that of a queue or a client, and no tool's.
            attributes.pop(names["tool_name"], None)
        if how != "ended":
            if kind != "turn":
                attributes[OPEN_AT_END] = True
            if how == "lost":
                attributes["turnscope.turn.recovered"] = True
        return attributes

    def _add_of_request(self, attributes: dict[str, Any], steps: Sequence[Step], end: Step | None) -> None:
        for step in steps:
            if step.phase in {"first_event", "first_item"}:
                attributes[self._names["first_chunk"]] = max(0, step.mono_ns - steps[0].mono_ns) / 1e9
                break
        for step in steps:
            if "status" in step.attrs:
                status = step.attrs["status"]
                if isinstance(status, int):
                    attributes |= attributes_of({"status": status})
                break
        ended = _OUTCOMES.get("" if end is None else end.phase)
        if ended and self._names["response_status"]:
            attributes[self._names["response_status"]] = ended


def lane_id(closed: Closed, given: str) -> bytes:
    """Return the id of the span of a lane, the one that spans of other instrumentation name as their parent.

    *given* is the span of the program's own that its first mark was told by, "" where there is none.
    """
    episode, lane, steps, _, _, _ = closed
    if lane == "turn":
        return bytes.fromhex(episode.own_span) or lane_key(episode.process_id, episode.turn, "turn", episode.first_seq)
    if given:
        return bytes.fromhex(given)
    turn, _, _, _, _, _, seq, process_id, _ = steps[0]
    # Not kept, as it is asked for once: what is asked for again is the turn's.
    return span_key(process_id, turn, lane, seq)


def lane_span(first: Step) -> bytes:
    """Return the id of the span of a lane below the turn from the lane's first mark."""
    return bytes.fromhex(span_in(first, "span")) or lane_key(first.process_id, first.turn, first.lane, first.seq)


def turn_span_id(episode: Episode) -> bytes:
    """Return the id of the turn's span, empty where nobody knows it."""
    if episode.own_span:
        return bytes.fromhex(episode.own_span)
    return lane_key(episode.owner, episode.turn, "turn", episode.owner_seq) if episode.owner else b""


def _parent_id(episode: Episode, first: Step, kind: str) -> bytes:
    if kind == "turn":
        return bytes.fromhex(episode.parent_id)
    if above := span_in(first, "span_above"):
        return bytes.fromhex(above)
    if kind == "upstream" and first.attrs.get("purpose") == "compaction":
        compaction = episode.lanes.get("compaction")
        if compaction:
            return lane_key(episode.process_id, episode.turn, "compaction", compaction[0].seq)
    return turn_span_id(episode)


def _error_of(lane: str, end: Step | None, how: How) -> str:
    if how == "lost":
        return "process_lost"
    if end is None or lane == "continuation":
        return ""
    said = end.attrs.get("error_type")
    if isinstance(said, str) and said:
        return said
    phase = end.phase
    if phase in {"cancelled", "interrupted"}:
        return phase
    return "other" if phase in _FAILS else ""


def _end_ns(first: Step, end: Step | None, end_ns: int) -> int:
    """Return when a span ends; a wall clock that was set back in between does not end it before it began."""
    start_ns = first.wall_ns
    if end is None:
        return max(start_ns, end_ns)
    until_ns = end.wall_ns
    if until_ns < start_ns:
        is_known = end.process_id == first.process_id
        return start_ns + max(0, end.mono_ns - first.mono_ns) if is_known else start_ns
    return until_ns
