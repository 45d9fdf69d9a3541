"""Why a run of OpenClaw failed, told from the error that it left on file; the text itself is not kept.

Source: the texts are those of 2026.4.2 to 2026.9.6, and of the reports in openclaw/openclaw (issues 86963, 107303).
"""

from __future__ import annotations

import re
from typing import Any, Final

from turnscope.failures import kind_of_status
from turnscope_analyzer.sources.failures import Kinds

# One row a text, the first that is found decides.
_TEXTS: Final = (
    (r"auto-?compaction (?:failed|could not)|compaction failed", "compaction_failed"),
    (r"context overflow|context[ _]length|exceeds the context window|prompt (?:is )?too (?:large|long)",
     "context_length_exceeded"),
    (r"operation was aborted|request was aborted|client disconnected|aborted by (?:the )?user", "cancelled"),
    (r"rate.?limit|usage limit|quota", "rate_limited"),
    (r"unauthori[sz]ed|api key|refresh[ _]token|oauth|authentication", "unauthorized"),
    (r"forbidden", "forbidden"),
    (r"idle timeout|timed out|timeout", "answer_timeout"),
    (r"econnreset|connection reset|socket hang up", "connection_reset"),
    (r"econnrefused|connection refused", "connection_refused"),
    (r"connection error|fetch failed|network|enotfound|getaddrinfo", "connection_failed"),
    (r"^terminated$|premature close|other side closed|stream (?:ended|closed|disconnected)", "stream_cut"),
    (r"internal server error|overloaded|server_error|high demand", "server_error"),
)  # fmt: skip
_KINDS: Final = Kinds(_TEXTS)
_STATUS: Final = re.compile(r"^\s*(?:HTTP )?([45]\d\d)\b|\bHTTP ([45]\d\d)\b")
ABORTED: Final = {"error_type": "other", "error_class": "aborted"}
"""A run that was broken off without an error: its time was up, or somebody stopped it. The log does not tell which."""

_LOOKED_AT: Final = 4_096


def failure_of(text: object) -> dict[str, Any]:
    """Return ``error_type`` and, where there is one, ``status`` of an error's *text*."""
    if not isinstance(text, str):
        return {"error_type": "other"}
    text = text[:_LOOKED_AT]
    told = _STATUS.search(text)
    status = int(told[1] or told[2]) if told else None
    kind = _KINDS.of(text)
    # A full window is answered with 400, a limit with 429: what the text says of them is more than the status.
    if status is not None and kind not in ("context_length_exceeded", "compaction_failed", "rate_limited"):
        kind = kind_of_status(status) or kind
    found: dict[str, Any] = {"error_type": kind or "other"}
    if status is not None:
        found["status"] = status
    return found
