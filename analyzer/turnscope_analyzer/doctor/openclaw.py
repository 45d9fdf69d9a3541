"""A state folder of OpenClaw as the doctor looks at it: its rows and locks, beside what the source has found."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.doctor.diagnosis import Standing, diagnose
from turnscope_analyzer.model import Evidence
from turnscope_analyzer.sources.openclaw.database import read_sessions
from turnscope_analyzer.sources.openclaw.findings import row_proof
from turnscope_analyzer.sources.openclaw.gateway import fate_of_lock, own_folders, read_lock
from turnscope_analyzer.sources.openclaw.places import canonical_of, root_of
from turnscope_analyzer.sources.openclaw.rows import read_rows
from turnscope_analyzer.sources.rejects import Rejects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from turnscope_analyzer.doctor.diagnosis import Diagnosis
    from turnscope_analyzer.sources.openclaw.database import Pending
    from turnscope_analyzer.sources.openclaw.gateway import Lock
    from turnscope_analyzer.sources.openclaw.rows import Row

STORES: Final = frozenset({"sessions.json", "openclaw-agent.sqlite"})
"""The files that hold the rows of sessions."""

_LOCK: Final = ".jsonl.lock"
_NEARLY_FULL: Final = 0.8
"""From this share of the window on a session that was never compacted is called too large."""


@dataclass(slots=True)
class State:
    """The rows, queued inputs and locks of one state folder; ``in_place`` where its gateway would run on this host."""

    root: Path
    rows: list[Row] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    locks: dict[Path, Lock] = field(default_factory=dict)

    @property
    def in_place(self) -> bool:
        """The folder lies where its gateway uses it: it is no copy."""
        if os.path.realpath(self.root) in own_folders():
            return True
        return any(row.file and _same_folder(row.file, row.where.file) for row in self.rows)

    def owners(self) -> set[int]:
        """Return the processes that hold a lock and live."""
        return {lock.pid for lock in self.locks.values() if fate_of_lock(lock, in_place=self.in_place) == "running"}


def _same_folder(one: str, other: str) -> bool:
    return os.path.realpath(Path(one).parent) == os.path.realpath(Path(other).parent)


def states_of(files: Iterable[Path]) -> dict[Path, State]:
    """Read the rows and locks among *files*, by state folder; what cannot be read is left to the source to report."""
    states: dict[Path, State] = {}
    for path in files:
        root = root_of(path)
        if root is None:
            continue
        state = states.setdefault(root, State(root))
        try:
            _read(path, state)
        except OSError:
            # The source has met it, too, and has listed it.
            continue
    return states


def _read(path: Path, state: State) -> None:
    rejects = Rejects(str(path))
    if path.name == "sessions.json":
        state.rows += read_rows(path, rejects)
    elif path.name == "openclaw-agent.sqlite":
        rows, pending = read_sessions(path, rejects)
        state.rows += rows
        state.pending += pending
    elif path.name.endswith(_LOCK) and (lock := read_lock(path)) is not None:
        state.locks[path] = lock


def examine(states: Iterable[State]) -> Iterator[Diagnosis]:
    """Yield what the rows and locks of each folder show by themselves; a shadow's are left to its own finding."""
    for state in states:
        if canonical_of(state.root) is None:
            yield from _stale_locks(state)
            yield from _shared_ids(state.rows)
            yield from _full_windows(state.rows)


def _stale_locks(state: State) -> Iterator[Diagnosis]:
    for path, lock in sorted(state.locks.items()):
        if fate_of_lock(lock, in_place=state.in_place) != "killed":
            continue
        values = {"pid": lock.pid, "starttime": lock.starttime}
        said = f"process {lock.pid}, which does not live on this host"
        session_id = path.name.removesuffix(_LOCK)
        keys = [row.key for row in state.rows if row.session_id == session_id]
        yield diagnose(
            "STALE_LOCK",
            f"the lock of session {session_id} names {said}",
            [Evidence(str(path), None, f"a lock of {said}", values)],
            session_id=keys[0] if keys else session_id,
        )


def _shared_ids(rows: Sequence[Row]) -> Iterator[Diagnosis]:
    keys: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        keys[row.session_id].append(row)
    for session_id, same in sorted(keys.items()):
        # A run of a schedule has a key of its own for the session that the schedule's key names, too.
        run = re.compile(rf":run:{re.escape(session_id)}$")
        own = sorted({run.sub("", row.key) for row in same})
        if len(own) > 1:
            yield diagnose(
                "DUPLICATE_SESSION_ID",
                f"{len(own)} keys name session {session_id}: {', '.join(own)}",
                [row_proof(row) for row in same],
                session_id=own[0],
            )


def _full_windows(rows: Sequence[Row]) -> Iterator[Diagnosis]:
    for row in rows:
        if row.tokens and row.window and row.compactions == 0 and row.tokens >= row.window * _NEARLY_FULL:
            share = f"{row.tokens * 100 // row.window} %"
            yield diagnose(
                "OVERSIZED_THREAD",
                f"{row.key} takes {row.tokens:,} of {row.window:,} tokens ({share}), and was never compacted",
                [row_proof(row)],
                session_id=row.key,
                restart=Standing("safe", "The session is as full after it."),
                repair="Reset the session, or compact it from its client (`/compact`), while it still answers.",
                figures={"tokens": row.tokens, "window": row.window},
            )


def rows_of(states: Iterable[State]) -> Iterator[Row]:
    """Yield the rows of all folders that are no shadow."""
    return (row for state in states if canonical_of(state.root) is None for row in state.rows)


def split(homes: Iterable[Iterable[Row]]) -> Iterator[Diagnosis]:
    """Yield the sessions that two homes have under one id and with other contents: one home is a copy of the other."""
    seen: dict[str, list[Row]] = defaultdict(list)
    for rows in homes:
        # Within a home a session may have several keys; that is another finding.
        for row in {row.session_id: row for row in rows}.values():
            seen[row.session_id].append(row)
    for session_id, same in sorted(seen.items()):
        if len({(row.status, row.updated_ns) for row in same}) > 1:
            newest = max(same, key=lambda row: row.updated_ns or 0)
            yield diagnose(
                "SPLIT_BRAIN",
                f"session {session_id} stands in two homes, and differs; {newest.where.file} was written last",
                map(row_proof, same),
                severity="warning",
                session_id=newest.key,
            )
