"""A Codex home as the doctor looks at it: its lists of threads, its locks and its files beside one another."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.doctor.diagnosis import diagnose
from turnscope_analyzer.model import Evidence
from turnscope_analyzer.sources.codex.ids import UUID
from turnscope_analyzer.sources.codex.locks import is_lock, read_lock
from turnscope_analyzer.sources.codex.stores import is_list, is_store, threads_in
from turnscope_analyzer.sources.snapshot import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from turnscope_analyzer.doctor.diagnosis import Diagnosis
    from turnscope_analyzer.model import Process

_NAME: Final = re.compile(rf"(rollout-.+({UUID})(?:-.+)?\.jsonl)(?:\.zst)?")
_MOST_NAMED: Final = 20


def is_rollout_file(path: Path) -> bool:
    """Tell by its name and place whether a file of a Codex home holds a thread."""
    return not (path.suffix == ".sqlite" or is_store(path) or is_lock(path))


def thread_of(path: Path) -> str | None:
    """Return the thread that the name of a rollout says, None for another name."""
    name = _NAME.fullmatch(path.name)
    return name[2] if name else None


def examine(files: Sequence[Path], processes: Mapping[str, Process]) -> Iterator[Diagnosis]:
    """Yield what the files of one home show beside one another; *processes* are those that the source has told of."""
    rollouts = [path for path in files if is_rollout_file(path)]
    yield from _stale_locks([path for path in files if is_lock(path)], processes)
    yield from _shared_threads(rollouts)
    lists = {path: listed for path in files if is_list(path) and (listed := _listed(path)) is not None}
    yield from _unlisted(lists, rollouts)
    yield from _two_lists(lists)


def _stale_locks(locks: Iterable[Path], processes: Mapping[str, Process]) -> Iterator[Diagnosis]:
    for path in sorted(locks):
        process = processes.get(f"codex:{path.stem}")
        if process is None or process.fate != "killed":
            continue
        try:
            lock = read_lock(path)
        except OSError:
            continue
        if lock is not None and not lock[1].held:
            said = "nobody holds it, and it is older than the last record of the thread"
            yield diagnose(
                "STALE_LOCK",
                f"the writer of thread {path.stem} is gone and has left its lock; the next one takes it",
                [Evidence(str(path), None, said, {"held": False})],
                severity="note",
                session_id=path.stem,
                repair="Nothing is to be done: the next writer of the thread takes the lock.",
            )


def _shared_threads(rollouts: Iterable[Path]) -> Iterator[Diagnosis]:
    files: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in rollouts:
        if name := _NAME.fullmatch(path.name):
            # A copy of the same file, packed or archived, is no second history.
            files[name[2]].setdefault(name[1], path)
    for thread_id, same in sorted(files.items()):
        if len(same) > 1:
            yield diagnose(
                "DUPLICATE_SESSION_ID",
                f"{len(same)} rollouts are of thread {thread_id}",
                [Evidence(str(path), None, _about(path)) for _, path in sorted(same.items())],
                session_id=thread_id,
            )


def _about(path: Path) -> str:
    try:
        return f"a rollout of the thread, {path.stat().st_size:,} bytes"
    except OSError:
        return "a rollout of the thread"


def _listed(path: Path) -> frozenset[str] | None:
    try:
        return frozenset(thread.thread_id for thread in threads_in(path))
    except UNREADABLE:
        # The source has met it, too, and has listed it.
        return None


def _unlisted(lists: Mapping[Path, frozenset[str]], rollouts: Iterable[Path]) -> Iterator[Diagnosis]:
    if not lists:
        return
    listed = frozenset().union(*lists.values())
    missing = {thread_id: path for path in rollouts if (thread_id := thread_of(path)) and thread_id not in listed}
    if missing:
        named = sorted(missing.items())[:_MOST_NAMED]
        yield diagnose(
            "INDEX_FILE_MISMATCH",
            f"{len(missing)} rollout{'s' if len(missing) != 1 else ''} not in the list of threads",
            [Evidence(str(path), None, f"thread {thread_id} is in no list") for thread_id, path in named],
            severity="note",
            figures={"threads": len(missing)},
        )


def _two_lists(lists: Mapping[Path, frozenset[str]]) -> Iterator[Diagnosis]:
    same: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(lists):
        same[path.name].append(path)
    for name, paths in sorted(same.items()):
        if len({os.path.realpath(path) for path in paths}) > 1 and len({lists[path] for path in paths}) > 1:
            newest = max(paths, key=_changed_ns)
            said = (
                Evidence(str(path), None, f"a list of {len(lists[path])} threads", {"threads": len(lists[path])})
                for path in paths
            )
            yield diagnose(
                "SPLIT_BRAIN",
                f"{len(paths)} lists called {name} name different threads; {newest} was written last",
                said,
                severity="warning",
            )


def _changed_ns(path: Path) -> int:
    """Return when a database was last written to, also where that went into its log alone."""
    both = (path, path.with_name(f"{path.name}-wal"))
    return max((one.stat().st_mtime_ns for one in both if one.exists()), default=0)
