"""Words for marks: what a record says, in one line, from its phase and its attributes alone."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from turnscope.phases import lane_kind

if TYPE_CHECKING:
    from turnscope_analyzer.model import Mark, Value

_SAID: Final = (
    "name",
    "kind",
    "model",
    "purpose",
    "step",
    "attempt",
    "status",
    "error_type",
    "error_class",
    "trigger",
    "doing",
    "ahead",
    "result",
    "bytes",
    "records",
    "tokens",
    "context_window",
    "cursor",
    "chunks",
    "keepalives",
)
"""The attributes that a person is shown, in this order."""

_FLAGS: Final = {
    "late": "time is an upper bound",
    "resumed": "resumed in another process",
    "recovered": "written by recover()",
    "traced": "told by an OpenTelemetry span",
    "escalated": "may wait for an approval that is not on file",
}


def mark_words(mark: Mark) -> str:
    """Say what *mark* says: ``upstream_failed on upstream:2 (error_type connection_refused)``."""
    where = "" if lane_kind(mark.lane) == "turn" else f" on {mark.lane}"
    said = attr_words(mark)
    return f"{mark.phase}{where} ({said})" if said else f"{mark.phase}{where}"


def attr_words(mark: Mark) -> str:
    """Say the attributes of *mark* that a person wants to see, comma separated; empty when there are none."""
    said = [
        f"{name} {value}"
        for name in _SAID
        if (value := mark.attrs.get(name)) is not None and (value or name == "cursor")
    ]
    said += [words for name, words in _FLAGS.items() if mark.attrs.get(name)]
    if resets_at := mark.attrs.get("resets_at"):
        said.append(f"resets at {_instant(resets_at)}")
    return ", ".join(said)


def duration_words(ns: int) -> str:
    """Return *ns* for a sentence: ``850 ms``, ``4.2 s``, ``12 min 5 s``, ``3 h 20 min``, ``2 d 4 h``."""
    seconds = ns / 1e9
    if seconds < 1:
        return f"{ns // 1_000_000} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def instant_words(ns: int) -> str:
    """Return *ns* since the epoch for a sentence, to the second, in UTC; the number itself where it is no such time."""
    try:
        return datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"


def _instant(value: Value) -> str:
    return instant_words(value) if isinstance(value, int) else str(value)
