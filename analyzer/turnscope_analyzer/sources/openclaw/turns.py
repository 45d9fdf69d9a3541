"""From the entries of a folder to its turns: which records are about the same user's message.

A turn is a session's key and a run. Before 2026.9 only trajectories and logs name runs, so transcripts are cut at the
user's records, and those are laid over the runs by their times. Retries of one run are one turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.openclaw.errors import ABORTED
from turnscope_analyzer.sources.openclaw.records import Entry, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from turnscope_analyzer.sources.openclaw.folder import Folder
    from turnscope_analyzer.sources.openclaw.rows import Row
    from turnscope_analyzer.sources.openclaw.transcript import Segment

_SECOND_NS: Final = 1_000_000_000
_SLACK_NS: Final = 5 * _SECOND_NS
"""Stores write the same moment down so far apart: event loops were blocked for seconds at cold starts."""

_STAGES: Final = frozenset({"started", "hydrated", "prompted", "attempt_ended", "finished"})


@dataclass(slots=True, eq=False)
class Turn:
    """One user's message and all that is on file about it.

    ``row`` is the session's row where it is about this turn; ``names`` are ids of runs that other records know it by;
    ``superseded`` tells that a later turn of the session has started, ``behind`` that it was accepted while the turn
    before it was under way.
    """

    turn_id: str
    key: str
    session_id: str
    entries: list[Entry] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    row: Row | None = None
    superseded: bool = False
    behind: bool = False

    @property
    def began_ns(self) -> int:
        """The earliest that is on file about it."""
        return min(entry.at_ns for entry in self.entries)

    @property
    def latest_ns(self) -> int:
        """The latest that is on file about it."""
        return max(entry.at_ns for entry in self.entries)

    def has(self, *stores: str) -> bool:
        """Tell whether one of *stores* says anything of it."""
        return any(entry.store in stores for entry in self.entries)

    def first(self, *whats: str) -> Entry | None:
        """Return the earliest entry of one of these kinds."""
        return min((entry for entry in self.entries if entry.what in whats), key=lambda e: e.at_ns, default=None)

    def last(self, *whats: str) -> Entry | None:
        """Return the latest entry of one of these kinds."""
        return max((entry for entry in self.entries if entry.what in whats), key=lambda e: e.at_ns, default=None)

    def accepted(self) -> Entry | None:
        """Return the record of its acceptance, None where only a later stage is on file.

        A user's record in 2026.9 carries that time; before, the time of the run's begin.
        """
        told = self.first("accepted", "queued")
        user = self.first("user")
        return told if told is not None or not self.has("audit") else user

    def take(self, run: Run) -> None:
        """Add what carries *run*'s id."""
        self.entries += run.entries
        self.names.add(run.run_id)


def turns_of(folder: Folder) -> list[Turn]:
    """Put the entries of *folder* together.

    Returns:
        Its turns by session, each session's in order of their begins; none without entries.
    """
    keys = {**{row.session_id: row.key for row in folder.rows}, **folder.keys}
    rows = {row.session_id: row for row in folder.rows}
    current = {row.key: row.session_id for row in folder.rows}
    runs: dict[str, list[Run]] = {}
    loose: list[Run] = []
    for run in folder.runs.values():
        session_id = run.session_id or current.get(run.key or "") or run.key
        if session_id is None:
            loose.append(run)
            continue
        runs.setdefault(session_id, []).append(run)
        if run.key is not None:
            keys.setdefault(session_id, run.key)
    found: list[Turn] = []
    for session_id in {**dict.fromkeys(folder.transcripts), **runs, **rows}:
        session = _Session(session_id, keys.get(session_id, session_id), runs.get(session_id, []))
        transcript = folder.transcripts.get(session_id)
        turns = session.turns(transcript.segments if transcript else [])
        if transcript is not None:
            _place_notes(turns, transcript.notes)
        found += _with_row(turns, rows.get(session_id), locked=session_id in folder.locks)
    _place_loose(found, loose, folder)
    for turn in found:
        for entry in folder.sent_by_key.get(turn.key, ()):
            if turn.began_ns < entry.at_ns and not turn.superseded and not _known(turn, entry):
                turn.entries.append(entry)
    return found


def _known(turn: Turn, begun: Entry) -> bool:
    """Tell whether that a request has *begun* is on file already."""
    others = (entry for entry in turn.entries if entry.what in ("prompted", "sent"))
    return any(abs(entry.at_ns - begun.at_ns) < _SLACK_NS for entry in others)


class _Session:
    def __init__(self, session_id: str, key: str, runs: list[Run]) -> None:
        self._id = session_id
        self._key = key
        self._runs = {run.run_id: run for run in runs}
        self._taken: dict[str, Turn] = {}

    def turns(self, segments: list[Segment]) -> list[Turn]:
        found: list[Turn] = []
        own = {segment.run_id for segment in segments}
        for segment in segments:
            run = self._runs.get(segment.run_id or "")
            if run is None or not _staged(run):
                # A queued message's run gets another id than the message was accepted under.
                run = self._run_at(segment, own) or run
            if run is not None and run.run_id in self._taken:
                turn = self._taken[run.run_id]
            else:
                name = segment.accepted_as or (run.run_id if run and _staged(run) else f"{self._id}:{segment.name}")
                turn = Turn(name, self._key, self._id)
                found.append(turn)
                if run is not None:
                    self._taken[run.run_id] = turn
                    turn.take(run)
            turn.entries += segment.entries
            if segment.run_id is not None:
                turn.names.add(segment.run_id)
                accepted = self._runs.get(segment.run_id)
                if accepted is not None and accepted.run_id not in self._taken:
                    self._taken[accepted.run_id] = turn
                    turn.take(accepted)
        for run in self._runs.values():
            if run.run_id not in self._taken and _tells(run):
                turn = Turn(run.run_id, self._key, self._id)
                turn.take(run)
                found.append(turn)
        found.sort(key=lambda turn: (turn.began_ns, turn.turn_id))
        started = [turn for turn in found if turn.first("started", "user", "prompted", "sent")]
        for turn in started[:-1]:
            turn.superseded = True
        return found

    def _run_at(self, segment: Segment, own: set[str | None]) -> Run | None:
        """Return the run within whose stages the segment's first record was written."""
        written_ns = segment.entries[0].attrs["written_ns"]
        best: tuple[int, Run] | None = None
        for run in self._runs.values():
            if run.run_id in own:
                continue
            for begin, end in _spans(run):
                fits = begin - _SECOND_NS <= written_ns and (end is None or written_ns <= end + _SECOND_NS)
                if fits and (best is None or begin > best[0]):
                    best = begin, run
        return best[1] if best else None


def _staged(run: Run) -> bool:
    return any(entry.store in ("audit", "trajectory") and entry.what in _STAGES for entry in run.entries)


def _tells(run: Run) -> bool:
    """Tell whether *run* says more than that a message was accepted: nothing follows from the absence of more."""
    return any(entry.what not in ("accepted", "seen") or entry.store == "timeline" for entry in run.entries)


def _spans(run: Run) -> Iterator[tuple[int, int | None]]:
    """Yield begin and end of each attempt of a run."""
    staged = sorted((e for e in run.entries if e.store in ("audit", "trajectory")), key=lambda e: e.at_ns)
    begin: int | None = None
    for entry in staged:
        if entry.what == "started" and begin is None:
            begin = entry.at_ns
        elif entry.what in ("attempt_ended", "finished") and begin is not None:
            yield begin, entry.at_ns
            begin = None
    if begin is not None:
        yield begin, None


def _place_notes(turns: Iterable[Turn], notes: dict[str, Entry]) -> None:
    for turn in turns:
        turn.entries += [note for run_id, note in notes.items() if run_id == turn.turn_id or run_id in turn.names]


def _with_row(turns: list[Turn], row: Row | None, *, locked: bool) -> list[Turn]:
    """Give the row to the turn that it is about; begin one where nothing else is on file of it."""
    if row is None:
        return turns
    last = turns[-1] if turns else None
    named = next((turn for turn in turns if row.run_id in (turn.turn_id, *turn.names)), None)
    if named is not None:
        named.row = row
    elif last is not None and (row.started_ns is None or row.started_ns <= last.latest_ns + _SLACK_NS):
        last.row = row
    elif row.started_ns is not None:
        turn = Turn(row.run_id or f"{row.session_id}:{row.started_ns // 1_000_000}", row.key, row.session_id, row=row)
        turn.entries.append(Entry(row.started_ns, "started", "row", row.where))
        if last is not None:
            last.superseded = True
        turns.append(turn)
    if (dropped := _never_started(turns, row, locked=locked)) is not None:
        turns.append(dropped)
    return turns


def _never_started(turns: list[Turn], row: Row, *, locked: bool) -> Turn | None:
    """Return the turn of a message that the row has seen come in, and of which nothing else is on file.

    Source: openclaw#86963. A row that is running may have it in its queue.
    """
    at_ns = row.interaction_ns
    if at_ns is None or row.running or (locked and row.status is not None):
        return None
    if row.status is not None and (row.ended_ns is None or at_ns <= row.ended_ns):
        return None
    after_ns = row.ended_ns if row.ended_ns is not None else at_ns - _SLACK_NS
    if any(turn.latest_ns > after_ns + _SLACK_NS for turn in turns):
        return None
    if any(turn.first("user", "started", "queued") and turn.began_ns >= after_ns - _SLACK_NS for turn in turns):
        return None
    turn = Turn(f"{row.session_id}:{at_ns // 1_000_000}", row.key, row.session_id)
    turn.entries.append(Entry(at_ns, "accepted", "row", row.where))
    if row.status is None:
        turn.row = row
    return turn


def _place_loose(turns: list[Turn], loose: list[Run], folder: Folder) -> None:
    """Lay runs of a log that name no session over the turns that failed at the same moment of the same error."""
    left = []
    for run in loose:
        fits = [turn for turn in turns if run.run_id in turn.names]
        fits = fits or [turn for turn in turns if not turn.names and _failed_together(turn, run)]
        if len(fits) == 1:
            fits[0].take(run)
        else:
            left.append(run)
    telling = [run for run in left if _tells(run)]
    for turn in turns:
        row = turn.row
        if row is None or not row.running or turn.has("transcript", "trajectory", "audit", "log") or not row.updated_ns:
            continue
        near = [run for run in telling if _gave_up_at(run, row.updated_ns)]
        kinds = {entry.attrs.get("error_type") for run in near for entry in run.entries if entry.what == "surfaced"}
        if len(kinds) == 1:
            # Which of them is this row's does not matter: they ended in the same way at the same moment. And a stop
            # would have left a transcript.
            ends = [entry for entry in near[0].entries if entry.what == "surfaced"]
            timeout = {"error_type": "answer_timeout"}
            turn.entries += [end._replace(attrs=timeout) if end.attrs == ABORTED else end for end in ends]
            telling.remove(near[0])
    if not folder.rows and not folder.transcripts:
        for run in telling:
            turn = Turn(run.run_id, "", "")
            turn.take(run)
            turns.append(turn)
    elif left:
        folder.left_alone["runs of a log that no session is named for"] += len(left)


def _failed_together(turn: Turn, run: Run) -> bool:
    ours = [entry for entry in turn.entries if entry.what == "request_failed"]
    theirs = [entry for entry in run.entries if entry.what == "request_failed"]
    return any(
        abs(one.at_ns - other.at_ns) < _SECOND_NS and one.attrs["error_type"] == other.attrs["error_type"]
        for one in ours
        for other in theirs
    )


def _gave_up_at(run: Run, updated_ns: int) -> bool:
    ends = [entry.at_ns for entry in run.entries if entry.what == "surfaced"]
    return bool(ends) and -_SECOND_NS // 4 <= updated_ns - max(ends) <= _SECOND_NS // 2
