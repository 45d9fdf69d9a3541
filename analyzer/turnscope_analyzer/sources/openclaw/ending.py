"""How a turn of OpenClaw ended, by the store that is to be believed: audit, transcript, trajectory, log, row.

Each of them has been seen to lie: a row says ``running`` for ever, a trajectory ``success`` for a cut stream, the audit
``succeeded`` where the run's time was up in a tool. Between two attempts of a run, an error is not its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope_analyzer.sources.openclaw.errors import ABORTED, failure_of
from turnscope_analyzer.sources.openclaw.records import Entry, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.openclaw.turns import Turn

_EMPTY: Final = {"error_type": "other", "error_class": "empty_answer"}
_TOOL_TIMEOUT: Final = {"error_type": "tool_timeout"}
_NO_ANSWER: Final = {"error_type": "answer_timeout"}
_DROPPED: Final = {"error_type": "dropped"}
_SAID: Final = ("user", "answer", "call", "result", "request_failed", "aborted", "prompt_error", "note")


class Ending(NamedTuple):
    """A turn's terminal phase: when, which, by which record, and what it says of a failure."""

    at_ns: int
    phase: str
    where: Where
    attrs: Mapping[str, Any]


def ending_of(turn: Turn, *, locked: bool) -> Ending | None:
    """Return how *turn* ended, None where it has not, or nothing on file says so.

    Args:
        turn: The turn.
        locked: Its session's lock is there: a run is under way, or died there.
    """
    if (finished := turn.last("finished")) is not None:
        return _audited(turn, finished)
    over = turn.superseded or not locked
    found = _said(turn, over=over) or _attempted(turn, over=over) or _logged(turn, over=over)
    if found is None and over:
        found = _by_row(turn)
    if found is None and (queued := turn.first("queued")) is not None and queued.attrs["state"] != "queued":
        return _ending(queued, "cancelled" if queued.attrs["state"] == "cancelled" else "interrupted")
    if found is None and turn.superseded:
        last = max(turn.entries, key=lambda entry: entry.at_ns)
        return _ending(last, "interrupted")
    return found


def _ending(entry: Entry, phase: str, attrs: Mapping[str, Any] | None = None) -> Ending:
    return Ending(entry.at_ns, phase, entry.where, attrs or {})


def _failed(entry: Entry, failure: Mapping[str, Any]) -> Ending:
    """End the turn with *failure*; a stop that somebody asked for is none."""
    if failure.get("error_type") == "cancelled":
        return _ending(entry, "cancelled")
    kept = {name: failure[name] for name in ("error_type", "error_class", "status") if failure.get(name) is not None}
    return _ending(entry, "failed", kept)


def _audited(turn: Turn, finished: Entry) -> Ending:
    attempt = turn.last("attempt_ended")
    said: Mapping[str, Any] = attempt.attrs if attempt is not None else {}
    answer = turn.last("answer")
    empty = bool(said.get("empty")) or (answer is not None and answer.attrs["empty"] and not said.get("externalAbort"))
    status = finished.attrs["status"]
    if said.get("timedOutDuringToolExecution") or (status == "timed_out" and _in_tool(turn)):
        return _failed(finished, _TOOL_TIMEOUT)
    if status == "timed_out":
        return _failed(finished, _NO_ANSWER)
    if status in ("succeeded", "cancelled") and not empty:
        return _ending(finished, "completed" if status == "succeeded" else "cancelled")
    failure = turn.last("request_failed", "prompt_error")
    why = failure.attrs if failure is not None else failure_of(turn.row.error if turn.row is not None else None)
    return _failed(finished, _EMPTY if empty else why)


def _in_tool(turn: Turn) -> bool:
    """Tell whether a tool was called last and has not answered."""
    call, result = turn.last("call"), turn.last("result")
    answer = turn.last("answer", "user")
    if call is None or (result is not None and result.at_ns >= call.at_ns):
        return False
    return answer is None or answer.at_ns <= call.at_ns


def _said(turn: Turn, *, over: bool) -> Ending | None:
    """Return the end that the transcript shows."""
    said = [entry for entry in turn.entries if entry.store == "transcript" and entry.what in _SAID]
    # Sorting keeps the order on file for what was written at once: an answer, then its calls.
    said.sort(key=lambda entry: entry.at_ns)
    if not said:
        return None
    last = said[-1]
    final = over and not _tried_again(turn, last)
    found: Ending | None = None
    match last.what:
        case "answer" if not last.attrs["empty"]:
            found = _ending(last, "completed")
        case "answer" if final:
            found = _failed(last, _EMPTY)
        case "note":
            found = _ending(last, "cancelled") if last.attrs["aborted"] else _failed(last, _told_instead(turn))
        case "aborted" | "prompt_error":
            found = _failed(last, _NO_ANSWER if _timed_out(turn, said) else last.attrs)
        case "request_failed" if last.attrs["final"] or final:
            found = _failed(last, last.attrs)
        case _:
            pass
    return found


def _told_instead(turn: Turn) -> Mapping[str, Any]:
    """Return why the gateway told the user something in the model's place."""
    told = turn.last("prompt_error", "request_failed", "attempt_ended")
    overflow = told is not None and told.attrs.get("error_type") == "context_length_exceeded"
    return {"error_type": "compaction_failed" if overflow else "other"}


def _timed_out(turn: Turn, said: list[Entry]) -> bool:
    """Tell whether an abort was the run's own, because its time was up."""
    attempt = turn.last("attempt_ended")
    kinds = {entry.attrs["error_type"] for entry in said if entry.what in ("aborted", "prompt_error")}
    flags = attempt.attrs if attempt is not None else {}
    return bool(flags.get("timedOut") or flags.get("idleTimedOut")) or "answer_timeout" in kinds


def _tried_again(turn: Turn, failure: Entry) -> bool:
    """Tell whether a later attempt of the run began; in 2026.9 only the audit says that there is none."""
    again = turn.last("started", "sent", "prompted")
    return turn.has("audit") or (again is not None and again.at_ns > failure.at_ns and again.store != "row")


def _attempted(turn: Turn, *, over: bool) -> Ending | None:
    """Return the end that the last attempt came to, where nothing of the turn goes on after it."""
    ended = turn.last("attempt_ended") or turn.last("run_done")
    if ended is None or not over or any(_goes_on(entry, ended) for entry in turn.entries):
        return None
    return _by_trajectory(turn, ended) if ended.what == "attempt_ended" else _by_last_request(turn, ended)


def _by_last_request(turn: Turn, ended: Entry) -> Ending:
    request = turn.last("sent", "responded", "request_failed")
    if ended.attrs.get("aborted"):
        return _failed(ended, ABORTED)
    if request is not None and request.what == "request_failed":
        return _failed(ended, request.attrs)
    return _ending(ended, "failed" if ended.attrs["status"] else "completed")


def _by_trajectory(turn: Turn, ended: Entry) -> Ending | None:
    said = ended.attrs
    failure: Mapping[str, Any] | None = None
    if said["timedOutDuringToolExecution"]:
        failure = _TOOL_TIMEOUT
    elif said["timedOut"] or said["idleTimedOut"]:
        failure = _NO_ANSWER
    elif said["externalAbort"] or said["aborted"]:
        failure = {"error_type": "cancelled"}
    elif said["empty"]:
        failure = _EMPTY
    elif was_dropped(turn):
        failure = _DROPPED
    elif said["status"] == "error":
        failure = said if "error_type" in said else failure_of(None)
    if failure is not None:
        return _failed(ended, failure)
    # A transcript that does not show the answer is to be believed, not the word of the function that returned.
    return None if turn.has("transcript") or said["status"] != "success" else _ending(ended, "completed")


def _goes_on(entry: Entry, ended: Entry) -> bool:
    return entry.at_ns > ended.at_ns and entry.what in ("started", "prompted", "sent", "headers")


def was_dropped(turn: Turn) -> bool:
    """Tell whether the turn was given up before its request, without a word in the transcript.

    Source: openclaw#86963; the client was told that the answer is complete, and it was empty.
    """
    ended = turn.last("attempt_ended")
    if ended is None or ended.attrs["status"] != "error" or turn.has("transcript"):
        return False
    aborted = ended.attrs["aborted"] or ended.attrs["externalAbort"] or ended.attrs["timedOut"]
    return not aborted and turn.first("started") is not None and turn.first("prompted") is None


def _logged(turn: Turn, *, over: bool) -> Ending | None:
    surfaced = turn.last("surfaced", "timed_out")
    if surfaced is None or not over:
        return None
    if any(entry.at_ns > surfaced.at_ns and entry.what != "seen" for entry in turn.entries):
        return None
    return _failed(surfaced, _NO_ANSWER if surfaced.what == "timed_out" else surfaced.attrs)


def _by_row(turn: Turn) -> Ending | None:
    row = turn.row
    if row is None or row.running or row.ended_ns is None or row.status is None:
        return None
    started = turn.last("started", "user")
    if row.ended_ns < (started.at_ns if started is not None else turn.began_ns):
        # It is about the run before.
        return None
    at = Entry(row.ended_ns, "finished", "row", row.where)
    if row.status in ("done", "killed"):
        return _ending(at, "completed" if row.status == "done" else "cancelled")
    failure = turn.last("request_failed")
    if row.status == "timeout" or failure is not None:
        return _failed(at, _NO_ANSWER if failure is None or row.status == "timeout" else failure.attrs)
    return _failed(at, failure_of(row.error)) if row.error is not None else _ending(at, "failed")
