"""A Codex home: the rollouts of its threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnscope_analyzer.model import Capture, Reject
from turnscope_analyzer.sources.codex.rollout import is_rollout, open_files, read_rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path


def is_codex(_path: Path, head: bytes) -> bool:
    """Tell whether a file is one that a Codex home holds and that says something about its turns."""
    return is_rollout(head)


def read_codex(files: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Capture]:
    """Read the files of one or more Codex homes, a capture a thread; *progress* gets the bytes done."""
    held = open_files()
    for path in files:
        yield _read_thread(path, held, progress)


def _read_thread(path: Path, held: Collection[str], progress: Callable[[int], None]) -> Capture:
    try:
        return read_rollout(path, held=held, progress=progress)
    except OSError as error:
        return Capture(rejects=[Reject(str(path), 0, f"cannot be read: {error.strerror}")])
