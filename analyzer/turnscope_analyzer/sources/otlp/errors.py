"""Why a span failed, told from its status, its error type and the first words of its exception."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from turnscope.attributes import ERROR_KIND
from turnscope.failures import kind_of_status
from turnscope_analyzer.sources.failures import Kinds
from turnscope_analyzer.sources.otlp.kept import integer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.otlp.records import Span

# One row a kind, the first that is found decides. Classes of the vendors' clients, httpx, aiohttp, node and Go.
_WORDS = (
    (r"context_?length|context_?window|prompt is too long|input is too long|maximum context",
     "context_length_exceeded"),
    (r"rate_?-? ?limit|insufficient_quota|usage_? ?limit|quota exceeded|ResourceExhausted|TooManyRequests|Throttl",
     "rate_limited"),
    (r"AuthenticationError|Unauthenticated|Unauthorized|invalid.api.key", "unauthorized"),
    (r"PermissionDenied|Forbidden", "forbidden"),
    (r"Cancel|AbortError|KeyboardInterrupt", "cancelled"),
    (r"Connect\w*Timeout|PoolTimeout", "connect_timeout"),
    (r"Connection ?Refused|ECONNREFUSED", "connection_refused"),
    (r"Connection ?(?:Reset|Aborted)|ECONNRESET|BrokenPipe|\w*Disconnected|socket hang up", "connection_reset"),
    (r"RemoteProtocolError|IncompleteRead|ClientPayloadError|ChunkedEncoding|peer closed|stream closed", "stream_cut"),
    (r"Time(?:d)? ?-?out|ETIMEDOUT|DeadlineExceeded|deadline exceeded", "idle_timeout"),
    (r"Connect(?:ion)?Error|gaierror|SSLError|ENOTFOUND|EAI_AGAIN|fetch failed|NetworkError", "connection_failed"),
    (r"InternalServerError|Overloaded|ServiceUnavailable|BadGateway", "server_error"),
    (r"BadRequest|Unprocessable|NotFoundError|InvalidRequest", "bad_request"),
)  # fmt: skip
_KINDS = Kinds(_WORDS)
_STATUS = re.compile(r"(?:error code|status(?:[ _]code)?)\W{1,3}([45]\d\d)\b", re.IGNORECASE)
_ABOVE_STATUS = frozenset({"context_length_exceeded", "rate_limited"})
_STOPPED = frozenset({"cancelled", "canceled"})


def error_of(span: Span, *, tool: bool = False, streamed: bool = False) -> dict[str, Value]:
    """Return what a mark says of the failure of *span*, nothing where it did not fail.

    Args:
        span: The span.
        tool: It ran a tool, whose errors are its own.
        streamed: Its response had begun.
    """
    named = next(_names(span), None)
    status = status_of(span)
    ending = span.attrs.get("gen_ai.response.status")
    refused = status is not None and status >= 400
    if not (span.failed or named or refused or ending == "failed" or ending in _STOPPED):
        return {}
    kind = "cancelled" if ending in _STOPPED else _kind(span, status, streamed=streamed)
    said: dict[str, Value] = {"error_type": "tool_error" if tool and kind != "cancelled" else kind}
    if named is not None:
        said["error_class"] = named[:64]
    if status is not None:
        said["status"] = status
    return said


def status_of(span: Span) -> int | None:
    """Return the HTTP status of the response to *span*, None where it is not on file."""
    for name in ("http.response.status_code", "http.status_code", "error.type"):
        status = integer(span.attrs.get(name))
        if status is not None and 100 <= status <= 599:
            return status
    return None


def _kind(span: Span, status: int | None, *, streamed: bool) -> str:
    own = span.attrs.get("error.type")
    if own in ERROR_KIND:
        return str(own)  # of our vocabulary, as our own spans have it
    words = [*_names(span), span.status_message]
    words += [str(event.attrs.get("exception.message", "")) for event in span.events]
    text = " ".join(words)
    if status is None and (told := _STATUS.search(text)):
        status = int(told[1])
    kind = _KINDS.of(text)
    if kind not in _ABOVE_STATUS and status is not None:
        kind = kind_of_status(status) or kind
    if kind == "idle_timeout" and not streamed:
        return "answer_timeout"
    return kind or "other"


def _names(span: Span) -> Iterator[str]:
    """Yield the classes of the error, the span's own first."""
    own = span.attrs.get("error.type")
    if isinstance(own, str) and own and not own.isdigit():
        yield own
    for event in span.events:
        name = event.attrs.get("exception.type")
        if event.name == "exception" and span.failed and isinstance(name, str):
            yield name
