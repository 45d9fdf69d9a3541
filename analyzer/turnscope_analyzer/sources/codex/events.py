"""What Codex says of itself in telemetry, one event at a time, as far as it tells of a turn's phases.

The same event may come twice: as a log record, and inside a span. Prompts, arguments, outputs and the texts of
errors are never kept: of an error its kind, of everything else ids, times and counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.codex.errors import failure_of_request
from turnscope_analyzer.sources.objects import count_of, word
from turnscope_analyzer.sources.timeline import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.failures import Failure
    from turnscope_analyzer.sources.otlp.records import Attribute, LogRecord, Span

_NAMES: Final = frozenset(
    {
        "codex.api_request",
        "codex.conversation_starts",
        "codex.sse_event",
        "codex.tool_decision",
        "codex.tool_result",
        "codex.user_prompt",
    }
)
_NUMBERS: Final = (
    "attempt",
    "auto_compact_token_limit",
    "context_window",
    "duration_ms",
    "http.response.status_code",
    "input_token_count",
    "output_token_count",
)
_WORDS: Final = ("call_id", "decision", "endpoint", "event.kind", "model", "source", "tool_name")
_ENDPOINT: Final = "/responses"
_MILESTONES: Final = frozenset(
    {
        "response.completed",
        "response.created",
        "response.failed",
        "response.incomplete",
        "response.output_item.added",
    }
)
"""Kinds of stream events that may begin or end a phase; all others only show that the stream goes on."""

_FURTHEST_NS: Final = 1 << 62


@dataclass(slots=True, eq=False)
class Event:
    """One event of a conversation; a run of stream events that only show progress is one, until ``until_ns``.

    ``name`` is without its ``codex.``. ``failure`` is the kind of error that it reports, None where it reports none.
    """

    name: str
    at_ns: int
    trace_id: str
    span_id: str
    words: Mapping[str, str]
    numbers: Mapping[str, int]
    failure: Failure | None
    file: str
    offset: int
    until_ns: int
    chunks: int = 1
    max_gap_ns: int = 0

    def number(self, name: str) -> int | None:
        """Return a figure of the event, None where it has none."""
        return self.numbers.get(name)

    @property
    def milestone(self) -> bool:
        """Whether it may begin or end a phase."""
        return self.name != "sse_event" or self.failure is not None or self.words.get("event.kind") in _MILESTONES

    @property
    def key(self) -> tuple[str | int | None, ...] | None:
        """What the event's two copies have in common; None for stream events, which have one only."""
        if self.name == "sse_event":
            return None
        return (self.name, self.trace_id, self.span_id, self.words.get("call_id"), self.number("attempt"))

    def absorb(self, later: Event) -> None:
        """Take in a stream event that shows progress and follows this one, which does the same."""
        gap_ns = later.at_ns - self.until_ns
        if gap_ns >= 0:
            self.chunks += 1
            self.until_ns = later.at_ns
            self.max_gap_ns = max(self.max_gap_ns, gap_ns)


def conversation_of(attrs: Mapping[str, Attribute]) -> str | None:
    """Return the thread that a record belongs to, None where it does not say."""
    return word(attrs, "conversation.id")


def event_of_log(record: LogRecord) -> Event | None:
    """Return what a log record says, None where that is no phase of a turn."""
    # Codex leaves the time of a record empty; what it was observed at comes with the decoder.
    at_ns = record.at_ns or parse_time(record.attrs.get("event.timestamp")) or 0
    # Its event's field names a line of source code, the attribute what happened.
    return _event(word(record.attrs, "event.name") or record.event, at_ns, record, record.attrs)


def events_of_span(span: Span) -> list[Event]:
    """Return what was said inside *span*."""
    found = (
        _event(str(inner.attrs.get("event.name") or inner.name), inner.at_ns, span, inner.attrs)
        for inner in span.events
    )
    return [event for event in found if event is not None]


def _event(name: str, at_ns: int, record: LogRecord | Span, attrs: Mapping[str, Attribute]) -> Event | None:
    if name not in _NAMES or not 0 < at_ns < _FURTHEST_NS:
        return None
    if not (word(attrs, "endpoint") or _ENDPOINT).startswith(_ENDPOINT):
        # The list of models, for one: it is asked for beside the turn.
        return None
    numbers = {key: number for key in _NUMBERS if (number := _number(attrs.get(key))) is not None}
    return Event(
        name=name.removeprefix("codex."),
        at_ns=at_ns,
        trace_id=record.trace_id,
        span_id=record.span_id,
        words={key: value for key in _WORDS if (value := word(attrs, key)) is not None},
        numbers=numbers,
        failure=_failure(attrs.get("error.message"), numbers.get("http.response.status_code")),
        file=record.file,
        offset=record.offset,
        until_ns=at_ns,
    )


def _failure(message: Attribute, status: int | None) -> Failure | None:
    if message is None and (status is None or status < 400):
        return None
    return failure_of_request(message if isinstance(message, str) else "", status)


def _number(value: Attribute) -> int | None:
    """Return a figure, which Codex writes as a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return count_of(value)
