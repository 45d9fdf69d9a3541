"""The turns in one trace: which spans belong to which, and which spans must still be open.

A span is exported when it ends, so a parent that never arrives is one that has not ended, unless it lies in another
process, or something around it has ended and it was merely lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from turnscope.conventions import Role
    from turnscope_analyzer.sources.otlp.roles import Facts

Kind = Literal["agent", "root", "open"]
"""How a turn was told: by its agent's span, by the root above a model's, or by a parent that never came."""


@dataclass(slots=True)
class Node:
    """A span as far as the tree needs it. ``end_ns`` is None where it is known to have begun and not to have ended."""

    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int | None
    remote_parent: bool
    service: str
    session: str
    failed: bool
    file: str
    offset: int
    facts: Facts | None

    @property
    def role(self) -> Role | None:
        """What it is to a turn."""
        return None if self.facts is None else self.facts.role


@dataclass(slots=True)
class Turn:
    """One turn: the span that it is, where that is on file, and the spans with a role below it.

    ``requests`` are those whose parent, a model's span, never came. ``told`` is False where nothing says whether
    the turn has ended. Parts and requests stand in order of their begins.
    """

    kind: Kind
    span_id: str
    root: Node | None
    parts: list[Node] = field(default_factory=list)
    requests: list[Node] = field(default_factory=list)
    told: bool = True

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.root is None or self.root.end_ns is None

    @property
    def first_ns(self) -> int:
        """The begin of its first span."""
        return min(node.start_ns for node in self._nodes())

    @property
    def last_ns(self) -> int:
        """The end of its last span."""
        return max(node.end_ns or node.start_ns for node in self._nodes())

    def _nodes(self) -> list[Node]:
        return [*([] if self.root is None else [self.root]), *self.parts, *self.requests]

    @property
    def first(self) -> Node:
        """The span itself, or where it is not on file the first one below it."""
        return self._nodes()[0]

    def told_by(self, tell: Callable[[Node], str]) -> str:
        """Return the first answer that *tell* gives of a span, "" where it gives none."""
        return next((answer for node in self._nodes() if (answer := tell(node))), "")


def turns_of(nodes: Mapping[str, Node], model_services: Collection[str]) -> list[Turn]:
    """Return the turns in one trace.

    Args:
        nodes: The spans of the trace by their ids.
        model_services: The services that trace the model's calls; only in these a request to a model without such
            a span above it shows that the span is open.
    """
    found: dict[str, Turn] = {}
    for node in nodes.values():
        if node.facts is not None:
            _place(node, nodes, found, model_services)
    _drop_empty(found)
    _close_lost(found, nodes)
    _doubt(found, nodes)
    return _merge_open(found)


def _path(node: Node, nodes: Mapping[str, Node]) -> list[Node]:
    """Return *node* and what stands above it, as far as it is on file; a circle ends where it closes."""
    path = {node.span_id: node}
    while (above := nodes.get(node.parent_id)) is not None and above.span_id not in path:
        path[above.span_id] = node = above
    return list(path.values())


def _place(node: Node, nodes: Mapping[str, Node], found: dict[str, Turn], model_services: Collection[str]) -> None:
    path = _path(node, nodes)
    top = path[-1]
    outer = max((at for at, above in enumerate(path) if above.role == "agent"), default=None)
    missing = top.parent_id not in nodes and top.parent_id != ""
    if outer is not None and not (missing and any(above.role == "tool" for above in path[outer:])):
        turn = found.setdefault(path[outer].span_id, Turn("agent", path[outer].span_id, path[outer]))
    elif missing and not top.remote_parent:
        turn = found.setdefault(top.parent_id, Turn("open", top.parent_id, None))
    elif top.role is None:
        turn = found.setdefault(top.span_id, Turn("root", top.span_id, top))
    else:
        return
    if node.role != "request":
        # A framework and a client library may both trace one call to the model: the outer span counts.
        twice = node.role == "model" and any(above.role == "model" for above in path[1:])
        turn.parts += [] if twice or node is turn.root else [node]
    elif turn.kind == "open" and node.service in model_services and all(above.facts is None for above in path[1:]):
        turn.requests.append(node)


def _drop_empty(found: dict[str, Turn]) -> None:
    """Drop what is no turn: roots without a model's span, or with agents below, and parents that nothing tells."""
    agents = any(turn.kind == "agent" for turn in found.values())
    for span_id, turn in list(found.items()):
        works = any(node.role in {"model", "tool"} for node in turn.parts)
        if (turn.kind == "root" and (agents or not any(node.role == "model" for node in turn.parts))) or (
            turn.kind == "open" and not works and not turn.requests
        ):
            del found[span_id]


def _close_lost(found: dict[str, Turn], nodes: Mapping[str, Node]) -> None:
    """Give the parts of a parent that never came to what ended around them: that parent was lost, it is not open."""
    ended = [turn for turn in found.values() if turn.kind != "open"]
    roots = [node for node in nodes.values() if not node.parent_id]
    for span_id, turn in [(span_id, turn) for span_id, turn in found.items() if turn.kind == "open"]:
        around = next((other for other in ended if other.root is not None and _covers(other.root, turn)), None)
        if around is None:
            root = next((node for node in roots if _covers(node, turn)), None)
            if root is None:
                continue
            around = Turn("root", root.span_id, root)
            if turn.parts:
                found[root.span_id] = around
                ended.append(around)
        around.parts += turn.parts
        del found[span_id]


def _covers(node: Node, turn: Turn) -> bool:
    return node.end_ns is not None and node.start_ns <= turn.first_ns and turn.last_ns <= node.end_ns


def _doubt(found: dict[str, Turn], nodes: Mapping[str, Node]) -> None:
    """Doubt a parent that never came and has whole agents below it: it may be a session, which ends with no turn."""
    above_agents = {node.parent_id for node in nodes.values() if node.role == "agent"}
    with_tools = {node.parent_id for node in nodes.values() if node.role == "tool"}
    for turn in found.values():
        if turn.kind == "open" and turn.span_id in above_agents and turn.span_id not in with_tools:
            turn.told = False


def _merge_open(found: dict[str, Turn]) -> list[Turn]:
    """Put the parents that never came together: they are one turn, and its steps that are still open."""
    missing = [turn for turn in found.values() if turn.kind == "open" and turn.told]
    missing.sort(key=lambda turn: (not turn.parts, turn.first_ns, turn.span_id))
    known = [turn for turn in found.values() if turn.kind != "open" and turn.is_open]
    into = known[0] if len(known) == 1 else missing[0] if missing else None
    for turn in missing:
        if into is not None and turn is not into:
            into.parts += turn.parts
            into.requests += turn.requests
            del found[turn.span_id]
    turns = sorted(found.values(), key=lambda turn: (turn.first_ns, turn.span_id))
    for turn in turns:
        turn.parts.sort(key=lambda node: (node.start_ns, node.span_id))
        turn.requests.sort(key=lambda node: (node.start_ns, node.span_id))
    return turns
