"""Codex rollouts (``rollout-*.jsonl``) as marks.

A rollout is one thread over all its resumes. It shows when things were complete, never when a request was sent,
and nothing of its process: whether that still runs is told by who holds the file open for writing, and by the lock
that newer versions hold beside it.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Capture, Mark, Process
from turnscope_analyzer.sources.codex.records import is_rollout, iter_records
from turnscope_analyzer.sources.codex.thread import Thread
from turnscope_analyzer.sources.rejects import Rejects
from turnscope_analyzer.sources.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from turnscope_analyzer.model import Fate
    from turnscope_analyzer.sources.codex.locks import Lock
    from turnscope_analyzer.sources.codex.turn import Turn
    from turnscope_analyzer.sources.drafts import Draft

__all__ = ["is_rollout", "open_files", "read_rollout"]

SOURCE: Final = "codex"
_PROC = Path("/proc")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_rollout(
    path: Path,
    *,
    held: Collection[str] = frozenset(),
    lock: Lock | None = None,
    now_ns: Callable[[], int] = time.time_ns,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Capture:
    """Read one rollout into marks, in order of their times, and its process or processes.

    Turns of versions that record no end stand under a process of their own, of which nothing may be concluded
    from a missing end.

    Args:
        path: The file; told to be a rollout by `is_rollout`.
        held: Real paths of the files that a live process has open for writing, from `open_files`.
        lock: The lock of the thread's writer, None where there is none: it ended well, or its version has no locks.
        now_ns: The wall clock, asked only for a file whose writer lives.
        progress: Called now and then with the bytes that were read since the last call.

    Raises:
        OSError: The file cannot be opened. Bad content never raises, it is listed in ``rejects``.
    """
    rejects = Rejects(str(path))
    timeline = Timeline()
    thread = Thread()
    for record in iter_records(path, rejects, timeline, progress):
        thread.feed(record)
    capture = Capture(rejects=rejects.all())
    if timeline.wall_ns is None:
        return capture
    thread_id = thread.thread_id or _name_of(path)
    turns = thread.finish()
    fate, why = _fate(path, held, lock, timeline.wall_ns)
    horizon_ns = timeline.now(now_ns() if fate == "running" else timeline.wall_ns)
    for made in sorted({turn.made for turn in turns}) or [False]:
        capture.processes.append(
            Process(
                process_id=_process_id(thread_id, made=made, mixed=any(not turn.made for turn in turns)),
                source=SOURCE,
                fate=fate,
                horizon_ns=horizon_ns,
                horizon_why=why,
                file=str(path),
                shows_requests=False,
                shows_ends=not made,
                clock_steps=timeline.steps,
            )
        )
    capture.marks.extend(_marks(turns, thread_id, str(path)))
    capture.names.update(_names(turns, thread_id))
    return capture


def _fate(path: Path, held: Collection[str], lock: Lock | None, last_record_ns: int) -> tuple[Fate, str]:
    """Return what became of the writer, and how far that reaches."""
    if os.path.realpath(path) in held:
        return "running", "now: a process on this host holds the file open for writing"
    if lock is not None and lock.held:
        return "running", "now: a process on this host holds the lock of the thread's writer"
    if lock is not None and lock.proves_death(last_record_ns):
        return "killed", "the last record; the lock of the thread's writer was left behind, and nobody holds it"
    return "unknown", "the last record; a rollout does not show what became of its process"


def open_files() -> set[str]:
    """Return the real paths of the ``.jsonl`` files that other processes of this host have open for writing.

    Only those of processes that we may look into; empty where there is no ``/proc``.
    """
    found: set[str] = set()
    for process in _PROC.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            found.update(_written_by(process))
        except OSError:
            # It is gone by now, or another user's.
            continue
    return found


def _written_by(process: Path) -> Iterator[str]:
    for link in (process / "fd").iterdir():
        # os.path.realpath does not raise for a file that was closed meanwhile.
        target = os.path.realpath(link)
        if target.endswith(".jsonl") and _is_for_writing(process / "fdinfo" / link.name):
            yield target


def _is_for_writing(info: Path) -> bool:
    try:
        flags = re.search(r"^flags:\s*([0-7]+)$", info.read_text(), re.MULTILINE)
    except OSError:
        # Closed between the two looks.
        return False
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def _marks(turns: list[Turn], thread_id: str, file: str) -> Iterator[Mark]:
    """Give the marks in order of their times; a mark that was moved to its true time changes its place."""
    mixed = any(not turn.made for turn in turns)
    placed: list[tuple[Turn, Draft]] = [(turn, draft) for turn in turns for draft in turn.marks]
    placed.sort(key=lambda pair: pair[1].at_ns)
    for seq, (turn, draft) in enumerate(placed):
        yield Mark(
            turn_id=f"{thread_id}:{turn.turn_id.removeprefix('#')}" if turn.made else turn.turn_id,
            session_id=thread_id,
            lane=draft.lane,
            phase=draft.phase,
            at_ns=draft.at_ns,
            wall_ns=draft.wall_ns,
            seq=seq,
            process_id=_process_id(thread_id, made=turn.made, mixed=mixed),
            file=file,
            offset=draft.offset,
            attrs=draft.attrs,
        )


def _names(turns: list[Turn], thread_id: str) -> dict[str, str]:
    """Return the traces that hold one turn, each with that turn: telemetry may know it by that name alone.

    Each has two names: one trace may hold the turns of several threads, where one started the others.
    """
    names: dict[str, str | None] = {}
    for turn in turns:
        if turn.trace_id is not None and not turn.made:
            # One trace may go on over many turns where whoever started Codex gave it its own.
            names[turn.trace_id] = None if turn.trace_id in names else turn.turn_id
    known = {trace_id: turn_id for trace_id, turn_id in names.items() if turn_id is not None}
    return known | {f"{thread_id}/{trace_id}": turn_id for trace_id, turn_id in known.items()}


def _process_id(thread_id: str, *, made: bool, mixed: bool) -> str:
    return f"codex:{thread_id}:untracked" if made and mixed else f"codex:{thread_id}"


def _name_of(path: Path) -> str:
    """Return the thread's id as the file's name has it."""
    told = _UUID.search(path.stem)
    return told[0] if told else path.stem
