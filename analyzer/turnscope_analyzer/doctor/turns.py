"""What the verdicts and marks of a home's turns mean to the doctor: orphans, lost results, stops, endings unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.doctor.diagnosis import diagnose
from turnscope_analyzer.model import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from turnscope_analyzer.doctor.codes import Severity
    from turnscope_analyzer.doctor.diagnosis import Diagnosis
    from turnscope_analyzer.model import Mark, Process, Verdict

_STOPS: Final[Mapping[str, tuple[Severity, str]]] = {
    "still_running": ("error", "it went on"),
    "failed": ("error", "the stop failed"),
    "unknown": ("warning", "what came of it is not on file"),
}
"""What a stop came to -> how bad that is; a turn that was cancelled, or was over already, is none."""

_GOES_ON: Final = frozenset({"stuck", "waiting", "slow", "not_determinable"})


def examine(
    verdicts: Sequence[Verdict], marks_of: Callable[[str], Sequence[Mark]], processes: Mapping[str, Process]
) -> Iterator[Diagnosis]:
    """Yield what is wrong with single turns.

    Args:
        verdicts: All of the home.
        marks_of: Returns the marks of a turn by its id.
        processes: What is known of those that wrote them.
    """
    last = latest(verdicts)
    for verdict in verdicts:
        marks = sorted(marks_of(verdict.turn_id), key=lambda mark: (mark.at_ns, mark.seq))
        is_last = last.get(verdict.session_id) == verdict.turn_id
        yield from _orphan(verdict, marks, processes, is_last=is_last)
        yield from _dangling(verdict, marks)
        yield from _stop(verdict)
        if verdict.cause == "detachment":
            yield diagnose(
                "TERMINAL_BUT_STREAMING",
                f"turn {verdict.turn_id}: {verdict.summary}",
                verdict.evidence,
                session_id=verdict.session_id,
                turn_id=verdict.turn_id,
            )


def latest(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """Return by session the turn that was accepted last."""
    found: dict[str, tuple[int, str]] = {}
    for verdict in verdicts:
        place = (verdict.accepted_ns or 0, verdict.turn_id)
        found[verdict.session_id] = max(found.get(verdict.session_id, place), place)
    return {session_id: turn_id for session_id, (_, turn_id) in found.items()}


def _orphan(
    verdict: Verdict, marks: Sequence[Mark], processes: Mapping[str, Process], *, is_last: bool
) -> Iterator[Diagnosis]:
    # What was accepted only and never run is a message that was lost, not a turn that was.
    if not marks or verdict.cause == "silent_drop":
        return
    passed = any(mark.attrs.get("recovered") for mark in marks)
    ended = any(mark.lane == "turn" and PHASE[mark.phase].terminal for mark in marks)
    severity: Severity = "error"
    if verdict.state == "orphaned" or passed:
        severity = "error" if is_last else "note"
        why = "its process is gone" if is_last else "its process is gone, and later turns went on without it"
    elif verdict.state == "not_determinable" and not ended and not _ends_unseen(marks, processes):
        severity, why = "warning", "whether its process still lives cannot be told from here"
    else:
        return
    at = marks[-1] if not passed else next(mark for mark in marks if mark.attrs.get("recovered"))
    began = Evidence(marks[0].file, marks[0].offset, f"{instant_words(marks[0].wall_ns)} it began")
    shown = Evidence(at.file, at.offset, f"{instant_words(at.wall_ns)} the last that is on file: {at.phase}")
    yield diagnose(
        "ORPHAN_TURN",
        f"turn {verdict.turn_id} began and has not ended; {why}",
        [began, shown],
        severity=severity,
        session_id=verdict.session_id,
        turn_id=verdict.turn_id,
    )


def _ends_unseen(marks: Iterable[Mark], processes: Mapping[str, Process]) -> bool:
    """Tell whether this kind of source does not write down when turns end."""
    return not all(processes[mark.process_id].shows_ends for mark in marks if mark.process_id in processes)


def _dangling(verdict: Verdict, marks: Sequence[Mark]) -> Iterator[Diagnosis]:
    ended = any(mark.lane == "turn" and PHASE[mark.phase].terminal for mark in marks)
    if not ended and verdict.state != "orphaned":
        return
    open_on: dict[str, Mark] = {}
    for mark in marks:
        if lane_kind(mark.lane) == "tool" and PHASE[mark.phase].terminal:
            open_on.pop(mark.lane, None)
        elif lane_kind(mark.lane) == "tool":
            open_on.setdefault(mark.lane, mark)
    if open_on:
        calls = list(open_on.values())
        yield diagnose(
            "DANGLING_TOOL_CALL",
            f"{len(calls)} tool call{'s' if len(calls) != 1 else ''} without a result in turn {verdict.turn_id}",
            [_call(mark) for mark in calls],
            session_id=verdict.session_id,
            turn_id=verdict.turn_id,
        )


def _call(mark: Mark) -> Evidence:
    call_id, name = mark.lane.partition(":")[2], mark.attrs.get("name")
    said = f"{instant_words(mark.wall_ns)} {name or 'a tool'} was called ({call_id})"
    return Evidence(mark.file, mark.offset, said, {"call_id": call_id, "name": name})


def _stop(verdict: Verdict) -> Iterator[Diagnosis]:
    told = _STOPS.get(verdict.cancel or "")
    if told is not None:
        severity, why = told
        yield diagnose(
            "STOP_WITHOUT_EFFECT",
            f"a stop of turn {verdict.turn_id} was asked for; {why}",
            verdict.evidence,
            severity=severity,
            session_id=verdict.session_id,
            turn_id=verdict.turn_id,
        )


def under_way(verdicts: Iterable[Verdict], running: Callable[[str], bool]) -> list[str]:
    """Return the turns that a restart would cut off: open ones whose process lives, by *running* of their id."""
    return [
        verdict.turn_id
        for verdict in verdicts
        if running(verdict.turn_id) and (verdict.state in _GOES_ON or verdict.rule == "healthy.in_progress")
    ]
