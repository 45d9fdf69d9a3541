"""The marks of one turn, from its spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.otlp.roles import Facts
    from turnscope_analyzer.sources.otlp.tree import Node, Turn

GRACE_NS: Final = 15_000_000_000
"""Spans are sent in batches: so long after its child a parent may still be on its way."""


class Draft(NamedTuple):
    """A mark that lacks its turn, its process and its place in the order."""

    at_ns: int
    lane: str
    phase: str
    file: str
    offset: int
    attrs: dict[str, Value]


def story_of(turn: Turn, horizon_ns: int) -> list[Draft]:
    """Return the marks of *turn* in order of their times; *horizon_ns* is the last record of its service."""
    drafts = [
        *_begin(turn),
        *_requests(turn.parts),
        *_others(turn.parts),
        *_shown_by_requests(turn, horizon_ns),
        *_end(turn),
    ]
    order = {id(draft): number for number, draft in enumerate(drafts)}
    return sorted(drafts, key=lambda draft: (draft.at_ns, order[id(draft)]))


def _begin(turn: Turn) -> Iterator[Draft]:
    if turn.root is not None:
        yield _draft(turn.root, "turn", "accepted", turn.root.start_ns)
        yield _draft(turn.root, "turn", "started", turn.root.start_ns)
    else:
        yield _draft(turn.first, "turn", "started", turn.first_ns, {"late": True})


def _requests(parts: list[Node]) -> Iterator[Draft]:
    """Yield the marks of the model's spans: one lane each, steps and attempts counted."""
    step, attempt, before = 0, 1, None
    for number, node in enumerate((node for node in parts if node.role == "model"), 1):
        retried = before is not None and _facts(before).error and (before.end_ns or 0) <= node.start_ns
        step, attempt = (step, attempt + 1) if retried else (step + 1, 1)
        before = node
        yield from _request(node, f"upstream:{number}", step, attempt, _purpose(node, parts))


def _request(node: Node, lane: str, step: int, attempt: int, purpose: str) -> Iterator[Draft]:
    facts = _facts(node)
    said: dict[str, Value] = {"step": step, "attempt": attempt, "purpose": purpose}
    if facts.model:
        said["model"] = facts.model
    yield _draft(node, lane, "upstream_sent", node.start_ns, said)
    reached = dict(reversed([(phase, at_ns) for at_ns, phase in facts.reached if phase != "upstream_sent"]))
    if facts.first_ns is not None:
        reached.setdefault("first_event", facts.first_ns)
    for phase, at_ns in reached.items():
        yield _draft(node, lane, phase, max(at_ns, node.start_ns))
    if node.end_ns is not None:
        phase = "upstream_failed" if facts.error else "upstream_completed"
        end_ns = max(node.end_ns, node.start_ns, *reached.values())
        yield _draft(node, lane, phase, end_ns, facts.error or _status(facts))


def _purpose(node: Node, parts: list[Node]) -> str:
    inside = (
        other.start_ns <= node.start_ns and (other.end_ns is None or (node.end_ns or node.start_ns) <= other.end_ns)
        for other in parts
        if other.role == "compaction"
    )
    return "compaction" if any(inside) else "turn"


_LANES: Final = {
    "compaction": ("compaction_started", "compaction_completed", "compaction_failed"),
    "hydration": ("hydration_started", "hydration_completed", "hydration_failed"),
    "tool": ("tool_call", "tool_result", "tool_result"),
}


def _others(parts: list[Node]) -> Iterator[Draft]:
    """Yield the marks of tools, compactions, hydrations and queues."""
    lanes: set[str] = set()
    for node in parts:
        facts = _facts(node)
        if facts.role == "queue":
            yield _draft(node, "turn", "queued", node.start_ns)
            yield from [] if node.end_ns is None else [_draft(node, "turn", "started", node.end_ns)]
        if facts.role not in _LANES:
            continue
        opens, succeeds, fails = _LANES[facts.role]
        lane = str(facts.role)
        said: dict[str, Value] = {}
        if facts.role == "tool":
            lane = f"tool:{facts.call_id or node.span_id}"
            # A call that is tried again has the same id.
            lane = f"{lane}.{node.span_id}" if lane in lanes else lane
            said = {"name": facts.name}
            lanes.add(lane)
        yield _draft(node, lane, opens, node.start_ns, said)
        reached = [(max(at_ns, node.start_ns), phase) for at_ns, phase in facts.reached if phase != opens]
        yield from (_draft(node, lane, phase, at_ns) for at_ns, phase in reached)
        if node.end_ns is not None:
            end_ns = max(node.end_ns, node.start_ns, *(at_ns for at_ns, _ in reached))
            yield _draft(node, lane, fails if facts.error else succeeds, end_ns, facts.error)


def _shown_by_requests(turn: Turn, horizon_ns: int) -> Iterator[Draft]:
    """Yield what requests show of a model's span that must still be open: it was sent, and answered or refused."""
    requests = turn.requests
    if not requests or horizon_ns - max(node.end_ns or node.start_ns for node in requests) < GRACE_NS:
        return
    for attempt, node in enumerate(requests, 1):
        facts, lane = _facts(node), f"upstream:open.{attempt}"
        yield _draft(node, lane, "upstream_sent", node.start_ns, {"attempt": attempt})
        if node.end_ns is not None:
            phase = "upstream_failed" if facts.error else "response_headers"
            yield _draft(node, lane, phase, max(node.end_ns, node.start_ns), facts.error or _status(facts))


def _end(turn: Turn) -> Iterator[Draft]:
    root = turn.root
    if root is None or root.end_ns is None:
        return
    error: dict[str, Value] = {} if root.facts is None else root.facts.error
    if root.failed and not error:
        error = {"error_type": "other"}
    phase = "completed" if not error else "cancelled" if error.get("error_type") == "cancelled" else "failed"
    said = {} if phase == "cancelled" else error
    yield _draft(root, "turn", phase, max(root.end_ns, root.start_ns), said)


def _draft(node: Node, lane: str, phase: str, at_ns: int, said: dict[str, Value] | None = None) -> Draft:
    return Draft(at_ns, lane, phase, node.file, node.offset, dict(said or {}))


def _status(facts: Facts) -> dict[str, Value]:
    return {} if facts.status is None else {"status": facts.status}


def _facts(node: Node) -> Facts:
    if node.facts is None:
        raise ValueError("only spans with a role are part of a turn")
    return node.facts
