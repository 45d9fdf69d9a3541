"""Find what can be read under some paths; the kind of a file is told by its content, never by its name alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.errors import NothingFoundError, PathMissingError, UnreadableError
from turnscope_analyzer.repair.plan import BACKUPS
from turnscope_analyzer.sources.opened import head_of
from turnscope_analyzer.sources.registry import SOURCES
from turnscope_analyzer.sources.rejects import unreadable
from turnscope_analyzer.sources.segments import is_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from turnscope_analyzer.model import Reject

JOURNAL: Final = "journal"

_SUFFIXES: Final = frozenset(
    {".jsonl", ".json", ".gz", ".zst", ".sqlite", ".db", ".lock", ".log", ".pb", ".binpb", ".bin", ".otlp"}
    | {".1", ".2", ".3", ".4", ".5"}
)
"""What the kinds that we know end in; a file with another ending is opened only if it was named itself.

The numbers are those of logs that were moved out of the way of a new one.
"""

_PRIVATE_FOLDERS: Final = frozenset({"identity", "devices", "credentials", ".git", "node_modules"})
_PRIVATE_FILES: Final = frozenset({"auth.json", "openclaw.json", "exec-approvals.json"})
"""Keys and tokens of the programs that we read from: not even looked at."""


@dataclass(slots=True)
class Found:
    """The files to read by kind, in the order of their paths, and those that could not be looked at."""

    files: dict[str, list[Path]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    looked_at: int = 0

    def of(self, kind: str) -> list[Path]:
        """Return the files of one kind."""
        return self.files.get(kind, [])


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
    if not found.files:
        raise NothingFoundError(list(paths), found.looked_at, [source.what for source in SOURCES])
    return found


def _look_into(folder: Path, found: Found) -> None:
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise UnreadableError(folder, error) from error
    for path in _files(folder, found):
        found.looked_at += 1
        if path.suffix in _SUFFIXES and path.name not in _PRIVATE_FILES:
            try:
                _sort(path, found)
            except OSError as error:
                found.rejects.append(unreadable(path, error))


def _look_at_named(path: Path, found: Found) -> None:
    found.looked_at += 1
    try:
        _sort(path, found)
    except OSError as error:
        raise UnreadableError(path, error) from error


def _files(folder: Path, found: Found) -> list[Path]:
    return sorted(_walk(folder, lambda error: found.rejects.append(unreadable(error.filename, error))))


def _walk(folder: Path, note: Callable[[OSError], None]) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if name not in _PRIVATE_FOLDERS and name != BACKUPS]
        yield from (Path(root, name) for name in files)


def _sort(path: Path, found: Found) -> None:
    head = head_of(path)
    if is_segment(head):
        kind: str | None = JOURNAL
    else:
        kind = next((source.kind for source in SOURCES if source.claims(path, head)), None)
    if kind is not None:
        found.files.setdefault(kind, []).append(path)
