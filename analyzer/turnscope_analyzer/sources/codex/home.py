"""A Codex home: the rollouts of its threads, its log database, its writer locks and its indexes.

Each shows another side of the same turns. They become views of a turn, which are joined under its id.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from turnscope.phases import PHASE
from turnscope_analyzer.model import Capture, Reject
from turnscope_analyzer.sources.codex.locks import is_lock, read_lock
from turnscope_analyzer.sources.codex.logs import is_log_database, read_logs
from turnscope_analyzer.sources.codex.rollout import is_rollout, open_files, read_rollout
from turnscope_analyzer.sources.codex.stores import Told, is_store, read_store
from turnscope_analyzer.sources.snapshot import MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from turnscope_analyzer.sources.codex.locks import Lock

_FOLDERS: Final = frozenset({"sessions", "archived_sessions"})
_NAME = re.compile(r"(rollout-.+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-.+)?\.jsonl)(?:\.zst)?")

Locks = dict[tuple[str, str], "Lock"]
"""Locks by home and thread."""


def is_codex(path: Path, head: bytes) -> bool:
    """Tell whether a file is one that a Codex home holds and that says something about its turns."""
    if head.startswith(MAGIC):
        # The tables of a young database may all still be in its log.
        return is_log_database(path) or is_store(path)
    return is_lock(path) or is_rollout(head)


def read_codex(files: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Capture]:
    """Read the files of one or more Codex homes; *progress* gets the bytes done.

    Yields:
        A capture for each thread, for each log database, for each index, and one for all locks.
    """
    databases = [path for path in files if path.suffix == ".sqlite"]
    stores = [path for path in databases if is_store(path)]
    capture = Capture()
    locks = _locks([path for path in files if is_lock(path)], capture)
    held = open_files()
    turns: dict[str, Told] = {}
    chosen = _one_of_each([path for path in files if path.suffix != ".sqlite" and not is_lock(path)], held)
    for path, copies in chosen:
        read = _read_thread(path, held, locks, progress)
        if copies:
            capture.left_alone["copies of a rollout"] += len(copies)
            progress(sum(map(_size, copies)))
        if stores:
            turns |= _told(read)
        yield read
    for path in databases:
        yield read_store(path, turns) if is_store(path) else read_logs(path)
        progress(_size(path))
    yield capture


def _one_of_each(files: Iterable[Path], held: Collection[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each rollout once, with its copies: packed, archived, or in a backup.

    The one that is being written counts, else the plain one, else the longest.
    """
    same: dict[str, list[Path]] = {}
    for path in files:
        name = _NAME.fullmatch(path.name)
        same.setdefault(name[1] if name else str(path), []).append(path)
    for paths in same.values():
        best = max(paths, key=lambda path: (os.path.realpath(path) in held, path.suffix == ".jsonl", _size(path)))
        yield best, [path for path in paths if path != best]


def _read_thread(path: Path, held: Collection[str], locks: Locks, progress: Callable[[int], None]) -> Capture:
    name = _NAME.fullmatch(path.name)
    lock = locks.get((_home_of(path), name[2])) if name else None
    try:
        return read_rollout(path, held=held, lock=lock, progress=progress)
    except OSError as error:
        return Capture(rejects=[Reject(str(path), 0, f"cannot be read: {error.strerror}")])


def _home_of(rollout: Path) -> str:
    """Return the folder in which the folder of sessions lies, "" for a rollout that lies elsewhere."""
    return next((os.path.realpath(folder.parent) for folder in rollout.parents if folder.name in _FOLDERS), "")


def _locks(files: Iterable[Path], capture: Capture) -> Locks:
    found: Locks = {}
    for path in files:
        try:
            lock = read_lock(path)
        except OSError as error:
            capture.rejects.append(Reject(str(path), 0, f"cannot be read: {error.strerror}"))
            continue
        if lock is not None:
            found[os.path.realpath(path.parent.parent), lock[0]] = lock[1]
    return found


def _told(read: Capture) -> dict[str, Told]:
    fates = {process.process_id: process.fate for process in read.processes}
    turns: dict[str, Told] = {}
    for mark in read.marks:
        ends = mark.lane == "turn" and PHASE[mark.phase].terminal
        if ends or mark.turn_id not in turns:
            turns[mark.turn_id] = Told(mark.phase if ends else None, fates[mark.process_id])
    return turns


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
