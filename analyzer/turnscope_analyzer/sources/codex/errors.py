"""Why a Codex turn failed, told from the error that it left on file.

``codex_error_info`` alone does not tell: ``other`` covers an idle stream and a cut one, and a failed compaction
carries the kind of whatever made its request fail. So the text decides first, then the status, then the info.
Source: the texts are those of 0.118 to 0.169 and of the reports in openai/codex (issues 8632, 13666, 19690, 22472).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from turnscope.failures import kind_of_status
from turnscope_analyzer.sources.failures import Failure, Kinds

if TYPE_CHECKING:
    from collections.abc import Mapping


# One row a text, the first that is found decides: the compaction's failure contains the failure of its request.
_TEXTS = (
    (r"compact task|remote compaction|error during compaction", "compaction_failed"),
    (r"ran out of room in the model's context window|context_length_exceeded|exceeds the context window"
     r"|prompt is too long", "context_length_exceeded"),
    (r"usage limit|usage_limit|rate_limit_exceeded|rate limit reached|quota exceeded", "rate_limited"),
    (r"idle timeout", "idle_timeout"),
    (r"connection refused|os error (?:61|111|10061)\b", "connection_refused"),
    (r"connection reset|os error (?:54|104|10054)\b", "connection_reset"),
    (r"operation timed out|os error (?:60|110|10060)\b", "connect_timeout"),
    (r"error sending request|failed to send websocket request|dns error|waiting for network", "connection_failed"),
    (r"before response\.completed|error decoding response body|stream disconnected|stream closed", "stream_cut"),
    (r"high demand|overloaded|internal server error|error occurred while processing your request", "server_error"),
    (r"refresh token|access token|not logged in", "unauthorized"),
)  # fmt: skip
_KINDS = Kinds(_TEXTS)
_STATUS = re.compile(r"(?:unexpected|last) status:? (\d{3})\b", re.IGNORECASE)

_INFOS = {
    "context_window_exceeded": "context_length_exceeded",
    "usage_limit_exceeded": "rate_limited",
    "session_budget_exceeded": "rate_limited",
    "server_overloaded": "server_error",
    "internal_server_error": "server_error",
    "unauthorized": "unauthorized",
    "bad_request": "bad_request",
    "http_connection_failed": "connection_failed",
    "response_stream_connection_failed": "connection_failed",
    "response_stream_disconnected": "stream_cut",
    "response_too_many_failed_attempts": "stream_cut",
}

_NOT_THE_TURN = frozenset({"active_turn_not_steerable", "thread_rollback_failed"})


def failure_of(error: Mapping[str, Any]) -> Failure:
    """Return why a turn failed whose *error* has a ``message`` and, in newer versions, a ``codex_error_info``."""
    message = error.get("message")
    text = message if isinstance(message, str) else ""
    info, status = _info(error.get("codex_error_info"))
    return _failure(text, info, status)


def failure_of_request(message: str, status: int | None) -> Failure:
    """Return why a request failed that ended with *message*, or with a *status*."""
    return _failure(message, None, status)


def _failure(text: str, info: str | None, status: int | None) -> Failure:
    told = _STATUS.search(text)
    status = int(told[1]) if told else status
    found = _KINDS.of(text)
    # A status outranks what the text says of the connection, but a limit, a window or a compaction outranks it.
    if status is not None and found not in ("compaction_failed", "context_length_exceeded", "rate_limited"):
        found = kind_of_status(status) or found
    return Failure(found or _INFOS.get(info or "", "other"), info, status)


def ends_a_turn(error: Mapping[str, Any]) -> bool:
    """Tell whether an ``error`` event is about its turn, not about a request that the turn merely refused."""
    return _info(error.get("codex_error_info"))[0] not in _NOT_THE_TURN


def _info(info: object) -> tuple[str | None, int | None]:
    """Return the word of ``codex_error_info``, a string or an object with one key, and its status."""
    if isinstance(info, str):
        return info[:64], None
    if not isinstance(info, dict) or len(info) != 1:
        return None, None
    (word, detail), *_ = info.items()
    status = detail.get("http_status_code") if isinstance(detail, dict) else None
    return word[:64], status if type(status) is int and 100 <= status < 600 else None
