"""What a Codex home's own indexes say against its rollouts: ``thread_history_N.sqlite`` and ``state_N.sqlite``.

Both follow the rollouts, late or never; a client that shows them shows a turn that is long over as running. Nothing
of them becomes a mark. What they say is a finding only where the rollout says otherwise.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.model import Capture, Evidence, Finding, Reject
from turnscope_analyzer.sources.snapshot import UNREADABLE, snapshot, why

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope_analyzer.model import Fate

_HISTORY = re.compile(r"thread_history_\d+\.sqlite")
_STATE = re.compile(r"state_\d+\.sqlite")

_TURNS: Final = "SELECT rowid, turn_id, status FROM thread_turns ORDER BY rowid"
_THREADS: Final = "SELECT rowid, id, rollout_path, archived FROM threads ORDER BY rowid"

_ENDS: Final = {"completed": {"completed"}, "failed": {"failed"}, "interrupted": {"interrupted", "cancelled"}}
"""A turn's status there -> the phases that end such a turn."""

_ARCHIVE: Final = "archived_sessions"


class Listed(NamedTuple):
    """A thread in the list of a home: the number of its row, its id, and where its rollout should be, if it says so."""

    row_id: int
    thread_id: str
    rollout: str | None
    archived: bool


class Told(NamedTuple):
    """What a turn's rollout says: its last phase if that ends it, and what became of its process."""

    end: str | None
    fate: Fate


def is_store(path: Path) -> bool:
    """Tell by the name of a database whether it is one of the two."""
    return _HISTORY.fullmatch(path.name) is not None or _STATE.fullmatch(path.name) is not None


def read_store(path: Path, turns: Mapping[str, Told]) -> Capture:
    """Compare the index at *path* with what the rollouts say of their *turns*, by id; nothing raises."""
    capture = Capture()
    try:
        capture.findings.extend(_history(path, turns) if _HISTORY.fullmatch(path.name) else _state(path))
    except UNREADABLE as error:
        capture.rejects.append(Reject(str(path), 0, why(error)))
    return capture


def _history(path: Path, turns: Mapping[str, Told]) -> Iterator[Finding]:
    with snapshot(path) as connection:
        for row_id, turn_id, status in connection.execute(_TURNS):
            told = turns.get(turn_id)
            # A live writer may be just about to bring its row up to date.
            if told is None or told.fate == "running":
                continue
            if status == "inProgress":
                if told.end is not None:
                    said = f"the row calls the turn inProgress, and the rollout says that it {_words(told.end)}"
                    yield Finding("stale_turn_row", turn_id, str(path), row_id, said)
                elif told.fate == "killed":
                    said = "the row calls the turn inProgress, and the process that ran it is gone"
                    yield Finding("stale_turn_row", turn_id, str(path), row_id, said)
            elif status in _ENDS and told.end not in _ENDS[status]:
                said = f"the row calls the turn {status}, and the rollout says that it {_words(told.end)}"
                yield Finding("turn_row_differs", turn_id, str(path), row_id, said)


def _words(end: str | None) -> str:
    if end is None:
        return "has not ended"
    return end if end in ("completed", "failed") else f"was {end}"


def is_list(path: Path) -> bool:
    """Tell by the name of a database whether it is the list of a home's threads."""
    return _STATE.fullmatch(path.name) is not None


def threads_in(path: Path) -> Iterator[Listed]:
    """Yield the threads that the list at *path* holds.

    Raises:
        One of ``UNREADABLE``: It cannot be read.
    """
    with snapshot(path) as connection:
        for row_id, thread_id, rollout, archived in connection.execute(_THREADS):
            yield Listed(row_id, str(thread_id), rollout if isinstance(rollout, str) else None, bool(archived))


def _state(path: Path) -> Iterator[Finding]:
    """Yield what the list of threads says of files that lie elsewhere; only for a home that stands where it was."""
    home = os.path.realpath(path.parent)
    wrong: dict[str, list[Evidence]] = {}
    for thread in threads_in(path):
        rollout = thread.rollout
        if rollout is None or not os.path.realpath(rollout).startswith(home + os.sep):
            continue
        said = Evidence(str(path), thread.row_id, f"the row of thread {thread.thread_id}", {"id": thread.thread_id})
        if not (Path(rollout).exists() or Path(f"{rollout}.zst").exists()):
            wrong.setdefault("missing_rollout", []).append(said)
        elif thread.archived != (_ARCHIVE in Path(rollout).parts):
            wrong.setdefault("archived_elsewhere", []).append(said)
    for name, rows in sorted(wrong.items()):
        yield Finding(name, None, str(path), None, _SAID[name].format(count=len(rows)), proofs=tuple(rows))


_SAID: Final = {
    "archived_elsewhere": "{count} threads in the list are archived and their rollouts are not, or the reverse",
    "missing_rollout": "{count} threads in the list have no rollout any more",
}
