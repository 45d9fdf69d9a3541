"""The traces that Codex exports, as far as they tell of turns: whose they are, what they span, what is still open.

A span is exported when it ends. One that has not ended shows only by its children: they name a parent that never
arrives. Of a turn that hangs on its request the last such child is the look for the credentials (``auth``), which
Codex does just before it sends.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.codex.ledger import Stay
from turnscope_analyzer.sources.objects import word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.codex.ledger import Record
    from turnscope_analyzer.sources.otlp.records import Attribute, Span

_NOISE: Final = (
    "add_",
    "append_",
    "environments.",
    "fs.",
    "persist_",
    "plugins_",
    "realtime_",
    "receiving",
    "render_",
    "send_raw_",
)
"""Most of a turn's 500 spans: they say nothing of its phases, and none of them is waited in."""

_COMPACTIONS: Final = frozenset({"codex.compaction", "run_auto_compact"})
_BEFORE_SENDING: Final = "auth"
_BEFORE_SAMPLING: Final = "build_prompt"
_SENDING: Final = frozenset({_BEFORE_SENDING, "responses.stream_request", "responses.compact_request"})
"""What the span of a request may have for children; others that look for credentials have more."""

_DISPATCHED: Final = ("tool_dispatch.", "build_tool_call")
"""How the names of the first spans below a tool's begin (0.169, 0.142), before a person is asked or the tool runs."""


class Child(NamedTuple):
    """A span that has ended below one that has not."""

    name: str
    end_ns: int
    record: Record


class Sent(NamedTuple):
    """A request whose span is open. ``sampling``: a step of the turn, not a compaction; None where that is not told."""

    at_ns: int
    record: Record
    sampling: bool | None


class Trace:
    """What the spans of one trace tell. Times are epoch ns; a record is a file and a byte offset in it."""

    def __init__(self) -> None:
        self.turns: dict[str, int] = {}
        """Turn ids in the trace, each with the earliest time at which it is named."""
        self.accepted: dict[str, tuple[int, Record]] = {}
        self.ended: dict[str, tuple[int, Record]] = {}
        self.stays: list[Stay] = []
        self.until_ns = 0
        self.record = ("", 0)
        self.shows_sampling = False
        self._arrived: set[str] = set()
        self._open: dict[str, list[Child]] = defaultdict(list)

    def take(self, span: Span) -> None:
        """Take a span in."""
        end_ns = span.end_ns or span.start_ns
        self.until_ns = max(self.until_ns, end_ns)
        if span.name.startswith(_NOISE):
            return
        self.record = record = (span.file, span.offset)
        turn_id = turn_of(span.attrs)
        if turn_id is not None:
            self.turns[turn_id] = min(span.start_ns, self.turns.get(turn_id, span.start_ns))
        if span.name == "turn/start" and turn_id is not None:
            self.accepted[turn_id] = (span.start_ns, record)
        elif span.name in _COMPACTIONS and span.end_ns is not None:
            self._stay(span, record)
        if span.end_ns is not None:
            self._close(span, Child(span.name, end_ns, record))
        if span.name == "session_task.turn" and span.end_ns is not None and turn_id is not None:
            self.ended[turn_id] = (end_ns, record)
            # Nothing of the turn is open any more. This also bounds what is held of a long capture.
            self._arrived.clear()
            self._open.clear()

    def sent(self) -> Sent | None:
        """Return the newest request whose span is open; None where none is."""
        waiting = [
            children[-1]
            for children in self._open.values()
            if {child.name for child in children} <= _SENDING and children[0].name == _BEFORE_SENDING
        ]
        if not waiting:
            return None
        newest = max(waiting, key=lambda child: child.end_ns)
        samples = any(child.name == _BEFORE_SAMPLING for children in self._open.values() for child in children)
        return Sent(newest.end_ns, newest.record, samples if self.shows_sampling else None)

    def dispatched(self) -> tuple[str, Child] | None:
        """Return the span of the newest tool that is open, and the first that ended below it; None where none is."""
        begun = [
            (span_id, child)
            for span_id, children in self._open.items()
            for child in children[:1]
            if child.name.startswith(_DISPATCHED)
        ]
        return max(begun, key=lambda found: found[1].end_ns, default=None)

    def turn_at(self, at_ns: int) -> str | None:
        """Return the turn that the trace was in at a time; its only one where it has one, None where it has none."""
        if len(self.turns) < 2:
            return next(iter(self.turns), None)
        begun = [turn_id for turn_id, since_ns in self.turns.items() if since_ns <= at_ns]
        return max(begun or self.turns, key=lambda turn_id: self.turns[turn_id])

    def _close(self, span: Span, child: Child) -> None:
        self._arrived.add(span.span_id)
        self._open.pop(span.span_id, None)
        self.shows_sampling = self.shows_sampling or span.name == _BEFORE_SAMPLING
        if span.parent_id and span.parent_id not in self._arrived:
            self._open[span.parent_id].append(child)

    def _stay(self, span: Span, record: Record) -> None:
        """Take in a compaction; two spans stand for each, one inside the other."""
        trigger = word(span.attrs, "reason")
        stay = Stay(span.start_ns, span.end_ns or span.start_ns, trigger, record)
        for number, known in enumerate(self.stays):
            if known.from_ns <= stay.until_ns and stay.from_ns <= known.until_ns:
                self.stays[number] = Stay(
                    min(known.from_ns, stay.from_ns),
                    max(known.until_ns, stay.until_ns),
                    known.trigger or stay.trigger,
                    known.record,
                )
                return
        self.stays.append(stay)


def turn_of(attrs: Mapping[str, Attribute]) -> str | None:
    """Return the id of the turn that a span names; older spans have another word for it."""
    return word(attrs, "turn.id") or word(attrs, "turn_id")
