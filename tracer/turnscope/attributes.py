"""The facts that a mark may carry beside its phase, and the reasons why something failed.

Sizes, kinds and counts only: a mark never holds a payload. The names are the OpenTelemetry ones where
there is one; our own stand under ``turnscope.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from turnscope.phases import Cause


class ErrorKind(NamedTuple):
    """A reason why a request, a tool or a turn failed, and the cause that it points to.

    ``cause`` holds outside compaction; inside, every failure of the request is the compaction's.
    """

    name: str
    cause: Cause
    about: str


class Attribute(NamedTuple):
    """A fact that a mark may carry beside its phase: a size, a kind or a count, never a payload.

    ``sql_type`` is the type of its column in the analyzer's ``marks``.
    """

    name: str
    sql_type: Literal["VARCHAR", "BIGINT", "BOOLEAN"]
    otel_name: str
    about: str


# One row a line: a table that is read down its columns.
# fmt: off
ERROR_KINDS: Final = (
    ErrorKind("connection_refused", "transport", "nobody listens at the address"),
    ErrorKind("connection_reset", "transport", "the peer dropped the connection"),
    ErrorKind("connection_failed", "transport", "the connection could not be made, for another reason"),
    ErrorKind("connect_timeout", "transport", "the connection was not made in time"),
    ErrorKind("headers_timeout", "transport", "the request was sent and no response headers came in time"),
    ErrorKind("stream_cut", "transport", "the stream ended before its last event"),
    ErrorKind("server_error", "transport", "the server answered 5xx"),
    ErrorKind("idle_timeout", "model_stall", "headers came, then nothing for longer than the client waits"),
    ErrorKind("answer_timeout", "model_stall", "no answer came in time; whether headers had come is not known"),
    ErrorKind("rate_limited", "quota_or_auth", "the server answered 429, or a usage limit is reached"),
    ErrorKind("unauthorized", "quota_or_auth", "the server answered 401"),
    ErrorKind("forbidden", "quota_or_auth", "the server answered 403"),
    ErrorKind("context_length_exceeded", "context_length", "the input is larger than the model's window"),
    ErrorKind("request_too_large", "context_length", "the server answered 413: the request has more bytes than it takes"),
    ErrorKind("compaction_failed", "compaction", "the thread could not be summarised"),
    ErrorKind("hydration_failed", "hydration", "the thread's history could not be loaded"),
    ErrorKind("bad_request", "unknown", "the server answered another 4xx"),
    ErrorKind("tool_error", "unknown", "the tool raised an error"),
    ErrorKind("tool_timeout", "tool_hang", "the turn's time was up while a tool ran"),
    ErrorKind("dropped", "silent_drop", "it was given up before its request was sent, and its user was not told"),
    ErrorKind("cancelled", "unknown", "it was stopped before it was done"),
    ErrorKind("process_lost", "process_lost", "the process that ran the turn is gone"),
    ErrorKind("other", "unknown", "any other error"),
)

ATTRIBUTES: Final = (
    Attribute("error_type", "VARCHAR", "error.type", "why it failed; one of the error kinds"),
    Attribute("error_class", "VARCHAR", "turnscope.error.class", "the exception's class, or the server's error code"),
    Attribute("status", "BIGINT", "http.response.status_code", "the status of the response"),
    Attribute("purpose", "VARCHAR", "turnscope.upstream.purpose", "turn or compaction"),
    Attribute("step", "BIGINT", "turnscope.turn.step", "1 for the first request, 2 and more for post-tool requests"),
    Attribute("attempt", "BIGINT", "turnscope.upstream.attempt", "1 for the first try of a step, 2 and more for retries"),
    Attribute("model", "VARCHAR", "gen_ai.request.model", "the model that was asked for"),
    Attribute("name", "VARCHAR", "gen_ai.tool.name", "the tool, the queue or the client"),
    Attribute("kind", "VARCHAR", "turnscope.item.kind", "what kind of item, tool or trigger"),
    Attribute("result", "VARCHAR", "turnscope.cancel.result", "what the stop came to; one of the cancel results"),
    Attribute("trigger", "VARCHAR", "turnscope.compaction.trigger", "what made the compaction start"),
    Attribute("doing", "VARCHAR", "turnscope.turn.doing", "what the gateway is busy with before its first request"),
    Attribute("ahead", "BIGINT", "turnscope.queue.ahead", "how many messages stand before this one"),
    Attribute("resets_at", "BIGINT", "turnscope.quota.resets_at", "when the limit resets, epoch ns"),
    Attribute("bytes", "BIGINT", "turnscope.bytes", "how many bytes came or were loaded"),
    Attribute("records", "BIGINT", "turnscope.records", "how many records were loaded"),
    Attribute("tokens", "BIGINT", "turnscope.tokens", "tokens in the context, before or after a compaction"),
    Attribute("context_window", "BIGINT", "turnscope.context_window", "tokens that the model's window holds"),
    Attribute("cursor", "BIGINT", "turnscope.renderer.cursor", "events that the turn sent, or that the client has seen"),
    Attribute("slot", "BIGINT", "turnscope.slot", "the progress slot of the life file"),
    Attribute("chunks", "BIGINT", "turnscope.stream.chunks", "stream chunks of the phase that this mark ends"),
    Attribute("progress_at", "BIGINT", "turnscope.stream.progress_at", "monotonic ns of the last chunk"),
    Attribute("max_gap", "BIGINT", "turnscope.stream.max_gap", "longest silence between two chunks, ns"),
    Attribute("keepalives", "BIGINT", "turnscope.stream.keepalives", "keepalives; they are not progress"),
    Attribute("keepalive_at", "BIGINT", "turnscope.stream.keepalive_at", "monotonic ns of the last keepalive"),
    Attribute("resumed", "BOOLEAN", "turnscope.turn.resumed", "the turn goes on in another process"),
    Attribute("recovered", "BOOLEAN", "turnscope.turn.recovered", "written by recover() for a process that is gone"),
    Attribute("escalated", "BOOLEAN", "turnscope.tool.escalated", "the tool call may wait for a person's approval, which is not on file"),
    Attribute("late", "BOOLEAN", "turnscope.late", "the time is an upper bound: it had happened by then"),
    Attribute("trace", "VARCHAR", "turnscope.trace_id", "the OpenTelemetry trace that the turn belongs to"),
    Attribute("parent", "VARCHAR", "turnscope.parent_span_id", "the OpenTelemetry span that the turn is a child of"),
    Attribute("span", "BIGINT", "turnscope.span_number", "id of the program's own OpenTelemetry span that told the lane, as a number with a sign"),
    Attribute("span_above", "BIGINT", "turnscope.parent_span_number", "the span above that one, where it is not the turn's"),
    Attribute("traced", "BOOLEAN", "turnscope.traced", "told by a span alone: headers and streams may not be on file"),
)
# fmt: on
"""What the analyzer has a column for. A mark may carry other attributes; they are kept, shown and not judged."""

ERROR_KIND: Final = {kind.name: kind for kind in ERROR_KINDS}
"""Error kind by name."""
