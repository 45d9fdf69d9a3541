"""The rows of a Codex log database (``logs_N.sqlite``), each split into its spans and its message.

Nothing of a row is kept beyond the moment in which it is read: a message may hold a whole request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.codex.ids import UUID
from turnscope_analyzer.sources.timeline import Timeline

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from turnscope_analyzer.sources.rejects import Rejects

TARGETS: Final = (
    "codex_api::sse::responses",
    "codex_app_server::message_processor",
    "codex_app_server::outgoing_message",
    "codex_client::default_client",
    "codex_client::transport",
    "codex_core::compact",
    "codex_core::history_item_count",
    "codex_core::responses_retry",
    "codex_core::session::handlers",
    "codex_core::session::turn",
    "codex_core::session::world_state",
    "codex_core::stream_events_utils",
    "codex_core::tasks",
    "codex_core::tools::parallel",
    "codex_http_client::client",
    "codex_rollout::recorder",
    "feedback_tags",
)
"""Where the rows that say something about a turn come from; of the others only the time is read."""

_TEXT_CHARS: Final = 8_192
"""Spans take up to 2,000 characters; what follows is told from its first words."""

_BRACES = r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*"|\{[^{}]*\})*\}'
_SPANS = re.compile(rf"(?:[\w./-]+(?:{_BRACES})?:)+(?= )")
_FIELDS = re.compile(_BRACES)
_TURN = re.compile(rf'\bturn[._]id="?({UUID})')
_THREAD = re.compile(rf'\b(?:conversation\.id|thread[._]id)="?({UUID})')

_QUERY: Final = f"""
    SELECT id, ts, ts_nanos, target, thread_id, process_uuid,
        CASE WHEN target IN ({", ".join("?" * len(TARGETS))}) THEN substr(feedback_log_body, 1, ?) END
    FROM logs
    ORDER BY id
"""


class Row(NamedTuple):
    """One row. ``spans`` are the names of the spans it was logged in, the outermost first; ``offset`` is its id."""

    offset: int
    at_ns: int
    wall_ns: int
    program: str
    target: str
    spans: tuple[str, ...]
    fields: str
    message: str
    thread_id: str | None

    @property
    def turn_id(self) -> str | None:
        """The turn that the innermost span names."""
        named = _TURN.findall(self.fields)
        return named[-1] if named else None


def iter_rows(connection: sqlite3.Connection, rejects: Rejects) -> Iterator[Row]:
    """Read all rows in the order in which they were written; those of no interest come without a message.

    Raises:
        sqlite3.Error: The database is damaged, or is none of Codex's. What was read before is good.
    """
    clocks: dict[str, Timeline] = {}
    for row_id, seconds, nanos, target, thread_id, program, body in connection.execute(_QUERY, (*TARGETS, _TEXT_CHARS)):
        if not (_is_within(seconds, 1 << 33) and _is_within(nanos, 1_000_000_000)):
            rejects.add(row_id, "a row without a time")
            continue
        wall_ns = seconds * 1_000_000_000 + nanos
        at_ns = clocks.setdefault(str(program), Timeline()).place(wall_ns)
        spans, message = _split(body if isinstance(body, str) else "")
        thread = thread_id if isinstance(thread_id, str) else next(iter(_THREAD.findall(spans)), None)
        names = tuple(_FIELDS.sub("", spans).split(":"))
        yield Row(row_id, at_ns, wall_ns, str(program), str(target), names, spans, message, thread)


def _is_within(number: object, limit: int) -> bool:
    return isinstance(number, int) and 0 <= number < limit


def _split(body: str) -> tuple[str, str]:
    spans = _SPANS.match(body)
    return (spans[0].rstrip(":"), body[spans.end() + 1 :]) if spans else ("", body)
