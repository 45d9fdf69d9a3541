"""Claude Code transcripts (``projects/<folder>/<session>.jsonl``) as marks.

A transcript shows when things were complete, never when a request was sent, and nothing of its process. Up to 2.0
it often does not say how a response stopped either: of such a turn only what follows it tells that it went well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.model import Capture, Mark, Process
from turnscope_analyzer.sources.claude.records import is_transcript, iter_records
from turnscope_analyzer.sources.claude.session import Session
from turnscope_analyzer.sources.rejects import Rejects, unreadable
from turnscope_analyzer.sources.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from turnscope_analyzer.sources.claude.turn import Turn
    from turnscope_analyzer.sources.drafts import Draft

SOURCE: Final = "claude-code"


class _Placed(NamedTuple):
    """A mark with its turn, and the run that it is put under."""

    process_id: str
    turn: Turn
    draft: Draft


def is_claude(_path: Path, head: bytes) -> bool:
    """Tell whether a file is a transcript of Claude Code."""
    return is_transcript(head)


def read_claude(files: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Capture]:
    """Read transcripts, a capture a file; *progress* gets the bytes done."""
    for path in files:
        yield _read(path, progress)


def _read(path: Path, progress: Callable[[int], None]) -> Capture:
    try:
        return read_transcript(path, progress)
    except OSError as error:
        return Capture(rejects=[unreadable(path, error)])


def read_transcript(path: Path, progress: Callable[[int], None] = lambda _bytes: None) -> Capture:
    """Read one transcript into marks, in order of their times, and its processes.

    Turns of which the records do not say when a response is over stand under a process of their own, of which
    nothing may be concluded from a missing end; so does one that the user has left for another.

    Raises:
        OSError: The file cannot be opened. Bad content never raises, it is listed in ``rejects``.
    """
    rejects, timeline, session = Rejects(str(path)), Timeline(), Session()
    for record in iter_records(path, rejects, timeline, progress):
        session.feed(record)
    session.finish()
    capture = Capture(rejects=rejects.all())
    if timeline.wall_ns is None:
        return capture
    session_id = session.session_id or path.stem
    placed = list(_placed(session, session_id))
    placed.sort(key=lambda mark: mark.draft.at_ns)
    capture.marks.extend(_mark(seq, mark, session_id, str(path)) for seq, mark in enumerate(placed))
    for process_id in dict.fromkeys(mark.process_id for mark in placed):
        capture.processes.append(
            Process(
                process_id=process_id,
                source=SOURCE,
                fate="unknown",
                horizon_ns=timeline.now(timeline.wall_ns),
                horizon_why="the last record; a transcript does not show what became of its process",
                file=str(path),
                shows_requests=False,
                shows_ends=not process_id.endswith(":untracked"),
                clock_steps=timeline.steps,
            )
        )
    return capture


def _placed(session: Session, session_id: str) -> Iterator[_Placed]:
    for name, chain in session.chains.items():
        own = f"{SOURCE}:{session_id}" + (f":{name}" if name else "")
        for turn in chain.turns:
            tracked = turn.ended or (not turn.left and (turn.told or chain.tells_ends))
            for draft in turn.marks:
                yield _Placed(own if tracked else f"{own}:untracked", turn, draft)


def _mark(seq: int, placed: _Placed, session_id: str, file: str) -> Mark:
    draft, turn = placed.draft, placed.turn
    turn_id = f"{session_id}:{turn.turn_id}" if turn.turn_id.startswith("@") else turn.turn_id
    return draft.placed(turn_id, turn.session_id or session_id, seq, placed.process_id, file)
