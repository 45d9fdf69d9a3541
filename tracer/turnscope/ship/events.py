"""Makes log records: one for each phase when it is reached, and a heartbeat now and then for each that is still open.

A span is sent when it has ended; what a turn waits in right now is told by these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from turnscope.phases import PHASE
from turnscope.ship import names
from turnscope.ship.encode import Encoded, record
from turnscope.ship.spans import lane_span, turn_span_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope.life import Life
    from turnscope.ship.story import Episode, Step

_INFO: Final = 9
_WARN: Final = 13
_CONVERSATION, _SESSION = (names.names_of(1)[fact] for fact in ("conversation", "session"))
_FAILS: Final = frozenset({"failed", "interrupted", "upstream_failed", "hydration_failed", "compaction_failed"})


def reached(episode: Episode, step: Step, resource: bytes) -> Encoded | None:
    """Return the record of a phase that was reached; None of one that the vocabulary has not."""
    if step.phase not in PHASE:
        return None
    severity = _WARN if step.phase in _FAILS else _INFO
    attributes = _of_turn(episode, step) | names.attributes_of(step.attrs)
    return _event(episode, step, resource, (step.wall_ns, PHASE[step.phase].otel_name, severity), attributes)


def lost(episode: Episode, step: Step, resource: bytes, horizon_ns: int) -> Encoded:
    """Return the record of a turn whose process is gone; *step* is its latest mark."""
    said = {"turnscope.turn.recovered": True, "error.type": "process_lost"}
    attributes = _of_turn(episode, step._replace(lane="turn")) | said
    at_ns = max(horizon_ns, step.wall_ns)
    return _event(episode, step, resource, (at_ns, PHASE["interrupted"].otel_name, _WARN), attributes)


def heartbeats(episode: Episode, life: Life | None, resource: bytes, now_ns: int) -> Iterator[Encoded]:
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


def _of_turn(episode: Episode, step: Step) -> dict[str, Any]:
    said = {names.TURN_ID: step.turn, names.LANE: step.lane}
    if session := step.session or episode.session:
        said[_CONVERSATION] = said[_SESSION] = session
    return said


def _event(
    episode: Episode, step: Step, resource: bytes, what: tuple[int, str, int], attributes: dict[str, Any]
) -> Encoded:
    at_ns, name, severity = what
    steps = episode.lanes.get(step.lane)
    # In a turn it hangs under the span that its lane will be, so that both are found from each other.
    first = steps[0] if steps and step.lane != "turn" else None
    within = lane_span(first) if first else turn_span_id(episode)
    return record(resource, name, attributes, at_ns=at_ns, severity=severity, trace_id=episode.trace_id, span=within)
