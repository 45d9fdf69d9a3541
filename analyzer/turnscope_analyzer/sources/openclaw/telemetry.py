"""What OpenClaw's ``diagnostics-otel`` plugin exports, as turns.

2026.4 names sessions and runs, each span is a trace of its own, and ``completed`` is said of every turn: such a
turn's end is not known. Later versions name neither; a trace is a turn there. A span comes when it has ended, so of a
turn that never ends only what was over is seen, and nothing is concluded from a request that is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from turnscope_analyzer.model import Capture, Process
from turnscope_analyzer.sources.objects import word
from turnscope_analyzer.sources.openclaw.ending import ending_of
from turnscope_analyzer.sources.openclaw.errors import failure_of
from turnscope_analyzer.sources.openclaw.gateway_log import event_of
from turnscope_analyzer.sources.openclaw.records import Entry, Runs, Where
from turnscope_analyzer.sources.openclaw.story import marks_of
from turnscope_analyzer.sources.openclaw.turns import Turn
from turnscope_analyzer.sources.otlp.records import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.sources.otlp.records import LogRecord

_SCOPE: Final = "openclaw"
_PREFIX: Final = "openclaw."
_MS_NS: Final = 1_000_000

_OUTCOMES: Final = {
    "completed": "succeeded",
    "success": "succeeded",
    "ok": "succeeded",
    "aborted": "cancelled",
    "cancelled": "cancelled",
    "timeout": "timed_out",
    "timed_out": "timed_out",
}
"""How a run's outcome is called by the audit, whose words are understood already; any other one is a failure."""


class OpenClawTelemetry:
    """Reads the spans and log records of an OpenClaw gateway."""

    def __init__(self) -> None:
        self._runs = Runs()
        self._windows: dict[str, tuple[int, int]] = {}
        self._latest = (0, "")
        self._left_alone = 0

    def take(self, record: Span | LogRecord) -> bool:
        """Take *record* in if it is OpenClaw's."""
        if not (record.scope == _SCOPE or (isinstance(record, Span) and record.name.startswith(_PREFIX))):
            return False
        at_ns = (record.end_ns or record.start_ns) if isinstance(record, Span) else record.at_ns
        self._latest = max(self._latest, (at_ns, record.file))
        told = self._span(record) if isinstance(record, Span) else self._log(record)
        self._left_alone += not told
        return True

    def captures(self) -> Iterator[Capture]:
        """Give the turns that were told of, under one process for those whose end is known, one for the others."""
        capture = Capture(windows=self._windows)
        if self._left_alone:
            capture.left_alone["records of OpenClaw that say nothing of a turn"] += self._left_alone
        processes: dict[bool, Process] = {}
        for run in self._runs.values():
            turn = Turn(run.run_id, run.key or "", run.session_id or "", entries=run.entries)
            ending = ending_of(turn, locked=False)
            ends = ending is not None or run.run_id not in self._windows
            if ends not in processes:
                processes[ends] = self._process(ends=ends)
            capture.marks += marks_of(turn, ending, processes[ends])
        capture.processes += processes.values()
        yield capture

    def _process(self, *, ends: bool) -> Process:
        return Process(
            process_id=f"openclaw:telemetry:{'runs' if ends else 'messages'}",
            source="otlp",
            fate="unknown",
            horizon_ns=self._latest[0],
            horizon_why="the last that was exported; whether the gateway still lives is not in its telemetry",
            file=self._latest[1],
            shows_requests=False,
            shows_ends=ends,
        )

    def _span(self, span: Span) -> bool:
        where, attrs = Where(span.file, span.offset), span.attrs
        end_ns = span.end_ns
        run_id, key = word(attrs, "openclaw.messageId"), word(attrs, "openclaw.sessionKey")
        if span.name == "openclaw.message.processed" and run_id is not None:
            self._runs[run_id].add(Entry(span.start_ns, "accepted", "log", where), None, key)
            self._windows[run_id] = (span.start_ns, end_ns or span.start_ns)
            return True
        entries = [] if key is not None or not span.trace_id else _entries(span, where)
        for entry in entries:
            self._runs[span.trace_id].add(entry)
        return bool(entries)

    def _log(self, record: LogRecord) -> bool:
        """Take in what the gateway logged of a run; its arguments are a JSON text."""
        try:
            args = orjson.loads(str(record.attrs.get("openclaw.log.args")))
        except orjson.JSONDecodeError:
            return False
        told = args[0] if isinstance(args, list) and args and isinstance(args[0], dict) else {}
        found = event_of(told)
        run_id = word(told, "runId")
        if found is None or run_id is None:
            return False
        what, attrs = found
        self._runs[run_id].add(Entry(record.at_ns, what, "log", Where(record.file, record.offset), attrs))
        return True


def _entries(span: Span, where: Where) -> list[Entry]:
    """Return what a span of the versions that name no run says of its trace."""
    attrs, end_ns = span.attrs, span.end_ns

    def entry(what: str, at_ns: int, **told: Any) -> Entry:
        return Entry(at_ns, what, "log", where, told)

    found: list[Entry] = []
    kind = "openclaw.model.call" if "gen_ai.request.model" in attrs else span.name
    match kind:
        case "openclaw.message.processed":
            found = [entry("accepted", span.start_ns)]
        case "openclaw.context.assembled" if end_ns is not None:
            found = [entry("hydrated", end_ns)]
        case "openclaw.run":
            found = [entry("started", span.start_ns)]
            if end_ns is not None:
                outcome = _OUTCOMES.get(word(attrs, "openclaw.outcome") or "", "blocked")
                found.append(entry("finished", end_ns, status=outcome))
        case "openclaw.model.call":
            found = _request(span, where)
        case "openclaw.tool.execution":
            name = word(attrs, "gen_ai.tool.name") or word(attrs, "openclaw.toolName")
            found = [entry("call", span.start_ns, id=span.span_id, name=name)]
            if end_ns is not None:
                found.append(entry("result", end_ns, id=span.span_id))
        case _:
            pass
    return found


def _request(span: Span, where: Where) -> list[Entry]:
    attrs, model = span.attrs, word(span.attrs, "gen_ai.request.model")
    found = [Entry(span.start_ns, "prompted", "log", where)]
    first_ms = attrs.get("openclaw.model_call.time_to_first_byte_ms")
    if isinstance(first_ms, (int, float)) and 0 <= first_ms < 1e9:
        found.append(Entry(span.start_ns + int(first_ms * _MS_NS), "headers", "log", where))
    if span.end_ns is not None and span.failed:
        words = (word(attrs, name) for name in ("error.type", "openclaw.failureKind", "openclaw.errorCategory"))
        failure = failure_of(" ".join(filter(None, words)) or span.status_message)
        found.append(Entry(span.end_ns, "request_failed", "log", where, failure))
    elif span.end_ns is not None:
        found.append(Entry(span.end_ns, "responded", "log", where, {"asks": False, "model": model}))
    return found
