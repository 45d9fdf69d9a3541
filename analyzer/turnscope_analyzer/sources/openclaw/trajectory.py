"""Trajectories: the stages of a run, attempt by attempt, each record under its run's id.

2026.5 appends them as they happen; 2026.9 writes an attempt's when it is over, so an open one has none. That an attempt
ended with ``success`` says only that its function returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from turnscope_analyzer.sources.objects import part, word
from turnscope_analyzer.sources.openclaw.errors import failure_of
from turnscope_analyzer.sources.openclaw.records import Entry, Where, time_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.openclaw.records import Runs

SCHEMA: Final = "openclaw-trajectory"

_STAGES: Final = {"session.started": "started", "context.compiled": "hydrated", "prompt.submitted": "prompted"}
_FLAGS: Final = ("aborted", "externalAbort", "timedOut", "idleTimedOut", "timedOutDuringToolExecution")


def feed_trajectory(record: Mapping[str, Any], where: Where, runs: Runs) -> bool:
    """Take one record in; False where it is none of a trajectory."""
    kind, run_id, at_ns = word(record, "type"), word(record, "runId"), time_ns(record.get("ts"))
    if record.get("traceSchema") != SCHEMA or kind is None or at_ns is None:
        return False
    if run_id is None:
        return True
    data = part(record, "data")
    what, attrs = _STAGES.get(kind, "seen"), {}
    if kind == "model.completed" and data.get("stopReason") == "error":
        what, attrs = "request_failed", _last_error(data)
    elif kind in ("tool.call", "tool.result"):
        what = kind.rpartition(".")[2]
        attrs = {"id": word(data, "toolCallId"), "name": word(data, "name")}
    elif kind == "session.ended":
        what, attrs = "attempt_ended", _ending(data)
    entry = Entry(at_ns, what, "trajectory", where, attrs)
    runs[run_id].add(entry, word(record, "sessionId"), word(record, "sessionKey"))
    return True


def _ending(data: Mapping[str, Any]) -> dict[str, Any]:
    attrs: dict[str, Any] = {name: data.get(name) is True for name in _FLAGS}
    attrs["status"] = word(data, "status")
    attrs["empty"] = data.get("terminalError") == "non_deliverable_terminal_turn"
    if data.get("promptError") is not None:
        attrs |= failure_of(data["promptError"])
    return attrs


def _last_error(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the failure of an attempt's last message."""
    messages = data.get("messagesSnapshot")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return failure_of(last.get("errorMessage")) if isinstance(last, dict) else failure_of(None)
