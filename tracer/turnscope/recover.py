"""Closes the turns of processes that are gone, each exactly once, at the last moment of which anything is known.

A turn is an orphan when the process that had it last is gone and the turn has no end. It is marked ``interrupted`` in
the name of that process, so that a reader finds its end where the rest of it is.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from turnscope.errors import JournalFormatError
from turnscope.life import ENDED, RECOVERED, Life, last_pulse_ns, read_life, write_fate
from turnscope.phases import PHASE, lane_kind
from turnscope.process import fate_of
from turnscope.reading import headers_in, read_end
from turnscope.turns import Mark, last_turn_marks, marks_of, turn_marks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope.journal import JournalLike

log = logging.getLogger("turnscope")

_LOCK_WAIT_S: Final = 5.0
_ASIDE: Final = ("turn", "renderer", "cancel")  # lanes that do not say what a turn is busy with


class Orphan(NamedTuple):
    """A turn that its process left without an end.

    ``phase`` on ``lane`` is what it waited in since ``since_ns``; its process was last alive at ``last_life_ns`` (both
    wall clock). ``prompt`` is what the user had asked, where the inbox kept it.
    """

    turn_id: str
    session: str
    phase: str
    lane: str
    since_ns: int
    last_life_ns: int
    prompt: str | None = None


class _Gone(NamedTuple):
    """A process that is gone, with its segments in the order they were filled."""

    process_id: str
    segments: list[Path]
    life: Life | None
    life_path: Path


def recover(folder: str | os.PathLike[str], journal: JournalLike) -> list[Orphan]:
    """Mark the orphans in *folder* as interrupted, and return them.

    Args:
        folder: The journal whose processes are looked at; those of other hosts are left alone.
        journal: Takes the marks.

    Returns:
        The orphans by turn id; none when another process has claimed them, or is about to for longer than 5 seconds.

    Raises:
        OSError: A file cannot be read or written. What was claimed before it stays claimed.
    """
    folder = Path(folder)
    if not folder.is_dir() or not _gone_processes(folder):
        return []
    with _claims(folder) as claimed:
        if not claimed:
            log.warning(
                "another process recovers %s for more than %g s; nothing was recovered here", folder, _LOCK_WAIT_S
            )
            return []
        orphans = [orphan for gone in _gone_processes(folder) for orphan in _close(gone, folder, journal)]
    return sorted(orphans)


@contextmanager
def _claims(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock, which the kernel takes back if this process dies; False when it could not be had."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        give_up_s = time.monotonic() + _LOCK_WAIT_S
        while not (locked := _try_lock(fd)) and time.monotonic() < give_up_s:
            time.sleep(0.02)  # not a blocking lock: a stopped process may hold it for ever
        yield locked
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _gone_processes(folder: Path) -> list[_Gone]:
    """Return the processes that are gone and may have left open turns that nobody has closed."""
    segments: dict[str, list[tuple[int, Path]]] = {}
    headers: dict[str, dict[str, object]] = {}
    for path, header in headers_in(folder).items():
        process_id = str(header.get("proc"))
        headers[process_id] = header
        number = header.get("segment")
        segments.setdefault(process_id, []).append((number if isinstance(number, int) else 0, path))
    gone = []
    for process_id, header in headers.items():
        if fate_of(header, last_pulse_ns(folder, process_id)) == "killed":
            paths = [path for _, path in sorted(segments[process_id])]
            life_path = folder / f"{process_id}.life"
            gone.append(_Gone(process_id, paths, _life(life_path), life_path))
    return [process for process in gone if not _is_settled(process)]


def _is_settled(gone: _Gone) -> bool:
    if gone.life is None:
        return False
    if gone.life.fate == ENDED:
        end = read_end(gone.segments[-1])
        return end is not None and end.get("open") == []
    return gone.life.fate == RECOVERED


def _life(path: Path) -> Life | None:
    try:
        return read_life(path)
    except (OSError, JournalFormatError):
        return None


def _close(gone: _Gone, folder: Path, journal: JournalLike) -> list[Orphan]:
    """Write the ends of the open turns of one process, then say in its life file that this was done."""
    recent = _recent_segments(gone)
    last = last_turn_marks(recent)
    turns = {turn: mark for turn, mark in last.items() if not mark.ends_turn and mark.process_id == gone.process_id}
    _leave_out_continued(turns, gone, folder)
    orphans = _write_ends(turns, recent, gone, journal) if turns else []
    if gone.life is not None:
        write_fate(gone.life_path, RECOVERED)
    return orphans


def _recent_segments(gone: _Gone) -> list[Path]:
    """Return the segments that name every turn that was open at the end.

    The last one with marks carries all of them; if the process was killed while it wrote that carry, the one before.
    A segment that was only prepared has no marks.
    """
    recent: list[Path] = []
    for path in reversed(gone.segments):
        if next(marks_of(path), None) is not None:
            recent.insert(0, path)
        if len(recent) == 2:
            break
    return recent


def _leave_out_continued(turns: dict[str, Mark], gone: _Gone, folder: Path) -> None:
    """Take out of *turns* those that another process had afterwards: it ended them, or has to answer for them."""
    if not turns:
        return
    earliest_ns = min(mark.wall_ns for mark in turns.values())
    for path, header in headers_in(folder).items():
        if path not in gone.segments and _last_write_ns(path, header) >= earliest_ns:
            for mark in turn_marks_of(path):
                if mark.turn in turns and mark.follows(turns[mark.turn]):
                    del turns[mark.turn]


def _last_write_ns(path: Path, header: dict[str, object]) -> int:
    """Return when a segment can have been written last.

    Its file's time alone does not tell: the kernel notes a store into a map only with the next write-back.
    """
    pulse_ns = last_pulse_ns(path.parent, str(header.get("proc")))
    if fate_of(header, pulse_ns) != "killed":
        return time.time_ns()
    return max(path.stat().st_mtime_ns, pulse_ns or 0)


def _write_ends(turns: dict[str, Mark], recent: list[Path], gone: _Gone, journal: JournalLike) -> list[Orphan]:
    lanes: dict[str, dict[str, Mark]] = {turn: {} for turn in turns}
    newest = next(iter(turns.values()))
    seq = newest.seq
    for mark in (mark for path in recent for mark in marks_of(path)):
        if mark.process_id != gone.process_id:
            continue
        seq = max(seq, mark.seq)
        newest = max(newest, mark, key=lambda mark: mark.mono_ns)
        if mark.turn in lanes:
            known = lanes[mark.turn].get(mark.lane)
            if known is None or mark.follows(known):
                lanes[mark.turn][mark.lane] = mark
    wall_ns, mono_ns = _last_life(newest, gone.life)
    orphans = []
    for place, turn in enumerate(sorted(turns), start=1):
        end = turns[turn]._replace(lane="turn", phase="interrupted", wall_ns=wall_ns, mono_ns=mono_ns, seq=seq + place)
        journal.append(_line(end))
        waited = _waited_in(lanes[turn])
        orphans.append(Orphan(turn, end.session, waited.phase, waited.lane, waited.wall_ns, wall_ns))
    return orphans


def _last_life(newest: Mark, life: Life | None) -> tuple[int, int]:
    """Return wall and monotonic clock of the last pulse or the last mark, whichever came later."""
    if life is None or life.pulse_wall_ns is None or life.pulse_mono_ns is None or life.pulse_mono_ns < newest.mono_ns:
        return newest.wall_ns, newest.mono_ns
    return life.pulse_wall_ns, life.pulse_mono_ns


def _waited_in(lanes: dict[str, Mark]) -> Mark:
    """Return the mark of what the turn waited in: the latest open request, tool and the like, else its latest phase."""
    marks = sorted(lanes.values(), key=lambda mark: mark.seq)
    busy = [mark for mark in marks if lane_kind(mark.lane) not in _ASIDE and not _is_terminal(mark.phase)]
    shown = [mark for mark in marks if lane_kind(mark.lane) not in _ASIDE[1:]]
    return (busy or shown)[-1]


def _is_terminal(phase: str) -> bool:
    return phase in PHASE and PHASE[phase].terminal


def _line(end: Mark) -> bytes:
    mark = {
        "turn": end.turn,
        "session": end.session,
        "lane": end.lane,
        "phase": end.phase,
        "t": end.wall_ns,
        "m": end.mono_ns,
        "seq": end.seq,
        "proc": end.process_id,
        "attrs": {"recovered": True, "error_type": "process_lost"},
    }
    return orjson.dumps(mark, option=orjson.OPT_APPEND_NEWLINE)
