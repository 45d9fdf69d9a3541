"""Why a request or a turn of Claude Code failed, told from the record that it left.

Source: the texts are those of the reports in anthropics/claude-code (issues 9527, 23047, 35525, 75980, 79500).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from turnscope.failures import kind_of_status
from turnscope_analyzer.sources.failures import Failure, Kinds
from turnscope_analyzer.sources.objects import part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.sources.claude.records import Record


# One row a text, the first that is found decides. The words of the API's error types are among them.
_TEXTS = (
    (r"error (?:during compaction|compacting)", "compaction_failed"),
    (r"prompt is too long|conversation too long|context window", "context_length_exceeded"),
    (r"hit your [\w ]*limit|usage limit|limit reached|rate.?limit|credit balance|billing_error", "rate_limited"),
    (r"authentication|oauth|/login|invalid api key|not logged in|token (?:has )?expired|revoked", "unauthorized"),
    (r"permission_error", "forbidden"),
    (r"idle timeout", "idle_timeout"),
    (r"econnrefused|connection ?refused", "connection_refused"),
    (r"econnreset|connection ?reset|socket connection was closed", "connection_reset"),
    (r"etimedout", "connect_timeout"),
    (r"request timed out|request timeout", "headers_timeout"),
    (r"mid-response|partial response|stream (?:ended|closed)|terminated", "stream_cut"),
    (r"unable to connect|connection error|fetch failed|enotfound|eai_again|network", "connection_failed"),
    (r"overloaded|internal server error|server_error|api_error", "server_error"),
    (r"invalid_request", "bad_request"),
)
_KINDS = Kinds(_TEXTS)
_STATUS = re.compile(r"API Error:? \(?(\d{3})\b")
_TEXT_CHARS = 2_000
"""So much of a text is looked at; a reason stands at its beginning."""

_DEPTH = 4


def failure_of(record: Record) -> Failure:
    """Return why the request failed that *record* is about: a system record, or the message shown to the user."""
    texts = [text[:_TEXT_CHARS] for text in _texts(record)]
    status = _status(record, texts)
    found = _KINDS.of(*texts)
    # What is over a limit, outside the window or not logged in says more than its status does.
    if status is not None and found not in {"compaction_failed", "context_length_exceeded", "rate_limited"}:
        told = kind_of_status(status)
        # That a request was bad is less than any reason that a text gives.
        found = told if told != "bad_request" else found or told
    return Failure(found or "other", record.says("error"), status)


def _texts(record: Record) -> Iterator[str]:
    for name in ("error", "cause", "apiError"):
        yield from _strings(record.content.get(name))
    if record.kind == "assistant":
        for block in record.blocks():
            text = block.get("text")
            if isinstance(text, str):
                yield text


def _strings(value: object, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the strings inside an error, but for headers."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth:
        for name, part in value.items():
            if name != "headers":
                yield from _strings(part, depth - 1)


def _status(record: Record, texts: list[str]) -> int | None:
    told = next((match for text in texts if (match := _STATUS.search(text))), None)
    if told:
        return _valid(int(told[1]))
    return _valid(part(record.content, "error").get("status")) or _valid(record.content.get("apiErrorStatus"))


def _valid(status: object) -> int | None:
    return status if type(status) is int and 400 <= status < 600 else None
