"""Find what can be read under some paths; the kind of a file is told by its content, never by its name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.errors import NothingFoundError, PathMissingError, UnreadableError
from turnscope_analyzer.model import Reject
from turnscope_analyzer.sources.codex.rollout import is_rollout
from turnscope_analyzer.sources.segments import is_segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEAD_BYTES: Final = 65_536

_SUFFIX: Final = ".jsonl"
"""Both kinds of files that we know have it; others are not even opened unless they were named themselves."""


@dataclass(slots=True)
class Found:
    """The files to read by kind, and those that could not be looked at."""

    segments: list[Path] = field(default_factory=list)
    rollouts: list[Path] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    looked_at: int = 0


def discover(paths: Sequence[Path]) -> Found:
    """Look at every file under *paths*.

    Raises:
        PathMissingError: One of them does not exist.
        UnreadableError: One of them cannot be read. A file *inside* a folder that cannot be read is a reject.
        NothingFoundError: Nothing in them is known.
    """
    found = Found()
    for path in paths:
        if not path.exists():
            raise PathMissingError(path)
        if path.is_dir():
            _look_into(path, found)
        else:
            _look_at_named(path, found)
    if not found.segments and not found.rollouts:
        raise NothingFoundError(list(paths), found.looked_at)
    return found


def _look_into(folder: Path, found: Found) -> None:
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise UnreadableError(folder, error) from error
    for path in _files(folder, found):
        found.looked_at += 1
        if path.suffix == _SUFFIX:
            try:
                _sort(path, found)
            except OSError as error:
                found.rejects.append(Reject(str(path), 0, f"cannot be read: {error.strerror}"))


def _look_at_named(path: Path, found: Found) -> None:
    found.looked_at += 1
    try:
        _sort(path, found)
    except OSError as error:
        raise UnreadableError(path, error) from error


def _files(folder: Path, found: Found) -> Iterable[Path]:
    def note(error: OSError) -> None:
        found.rejects.append(Reject(str(error.filename), 0, f"cannot be read: {error.strerror}"))

    return sorted(_walk(folder, note))


def _walk(folder: Path, note: object) -> Iterator[Path]:
    for root, _, files in os.walk(folder, onerror=note):  # type: ignore[arg-type]
        yield from (Path(root, name) for name in files)


def _sort(path: Path, found: Found) -> None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if is_segment(head):
        found.segments.append(path)
    elif is_rollout(head):
        found.rollouts.append(path)
