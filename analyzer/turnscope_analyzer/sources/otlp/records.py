"""Spans and log records as every reader of telemetry gets them, whatever encoding the file had."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope_analyzer.model import Capture

Attribute = str | int | float | bool | None
"""A value as far as it is kept: no lists, no maps, no bytes; a long string is cut by the decoder."""


class SpanEvent(NamedTuple):
    """Something that happened inside a span, at ``at_ns`` (epoch)."""

    name: str
    at_ns: int
    attrs: Mapping[str, Attribute]


class Span(NamedTuple):
    """A span that has ended, or was exported open.

    Ids are lower-case hex, "" where there is none. Times are epoch ns; ``end_ns`` is None where the span had not
    ended. ``failed`` is status ERROR. ``offset`` is the byte in *file* (unpacked) where its export request begins.
    ``remote_parent``: the parent is known to be a span of another process.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int | None
    failed: bool
    status_message: str
    attrs: Mapping[str, Attribute]
    events: tuple[SpanEvent, ...]
    scope: str
    resource: Mapping[str, Attribute]
    file: str
    offset: int
    remote_parent: bool = False


class LogRecord(NamedTuple):
    """A log record. ``at_ns`` is its time, the time at which it was observed where it has none, 0 without either.

    ``event`` is its event name, from the field or the attribute ``event.name``. The body is not kept.
    """

    trace_id: str
    span_id: str
    at_ns: int
    event: str
    attrs: Mapping[str, Attribute]
    scope: str
    resource: Mapping[str, Attribute]
    file: str
    offset: int


class Dialect(Protocol):
    """What reads the telemetry of one program, or of all that follow one convention.

    The reader asks its dialects in turn; the first that takes a record is given it. ``captures`` is asked for once,
    after the last record.
    """

    def take(self, record: Span | LogRecord) -> bool:
        """Take *record* in, or leave it to the others and return False."""

    def captures(self) -> Iterator[Capture]:
        """Give what was made of the records taken."""
