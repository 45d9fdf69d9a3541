"""Decides which closed segments go when the folder holds too much, or they are too old.

What is still needed goes last: a segment with a turn that has not ended, or that is still to be sent, is only deleted
when the cap is exceeded and no other is left, and that is counted. Files of other processes that may be running are
never touched.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from turnscope.life import last_pulse_ns
from turnscope.process import fate_of
from turnscope.reading import headers_in
from turnscope.ship.cursor import is_unsent
from turnscope.turns import Mark, last_turn_marks, turn_marks_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger("turnscope")


class _File(NamedTuple):
    written_ns: int
    path: Path
    n_bytes: int
    header: dict[str, object]

    @property
    def process_id(self) -> str:
        return str(self.header.get("proc"))


class Retention:
    """Keeps the segments of a folder within *cap_bytes* and *keep_ns*.

    Args:
        folder: The journal.
        cap_bytes: What all its segments may hold together, those in use included.
        keep_ns: Age after which a segment goes whose turns have ended, counted from its last write.
        drop: Told ``retention`` for each segment that was still needed and had to go.
        is_held: Says that a closed segment is still needed; by default one that holds a turn without an end, or that
            somebody sends who has not come to its end.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cap_bytes: int,
        keep_ns: int,
        drop: Callable[[str], None],
        is_held: Callable[[Path], bool] | None = None,
    ) -> None:
        self._folder, self._cap_bytes, self._keep_ns, self._drop = folder, cap_bytes, keep_ns, drop
        self._open_turns = OpenTurns(folder)
        self._is_held = is_held or self._holds
        self._told = False

    def prune(self, process_id: str, in_use: Callable[[], set[Path]], now_ns: int) -> None:
        """Delete what has to go.

        Args:
            process_id: The calling process.
            in_use: Returns its segments that are not closed; asked after the folder was listed, so that one that
                was made in between is not taken for a closed one.
            now_ns: Wall clock.

        Raises:
            OSError: The folder cannot be read, or a file not deleted. Those before it are gone.
        """
        files = _segments(self._folder)
        excess = sum(file.n_bytes for file in files) - self._cap_bytes
        oldest_ns = now_ns - self._keep_ns
        if excess <= 0 and all(file.written_ns >= oldest_ns for file in files):
            return
        closed = _closed(files, process_id, in_use())
        left = Counter(file.process_id for file in files)
        self._open_turns.closed = {file.path for file in closed}
        held = []
        for file in closed:
            if excess <= 0 and file.written_ns >= oldest_ns:
                break
            if self._is_held(file.path):
                held.append(file)
            else:
                excess -= self._delete(file, left)
        for file in held:
            if excess <= 0:
                break
            excess -= self._delete(file, left)
            self._lose(file.path)

    def _holds(self, path: Path) -> bool:
        return self._open_turns.held_by(path) or is_unsent(path, self._keep_ns)

    def _delete(self, file: _File, left: Counter[str]) -> int:
        """Delete a segment, and the life file with the last one of its process; return the bytes that it held."""
        file.path.unlink(missing_ok=True)
        left[file.process_id] -= 1
        if not left[file.process_id]:
            (self._folder / f"{file.process_id}.life").unlink(missing_ok=True)
        return file.n_bytes

    def _lose(self, path: Path) -> None:
        self._drop("retention")
        if not self._told:
            self._told = True
            log.warning(
                "the journal is over its cap of %d bytes, and %s went although a turn in it had no end or was unsent; "
                "raise cap_bytes to keep such segments",
                self._cap_bytes,
                path,
            )


class OpenTurns:
    """Knows which closed segments hold a turn that has not ended in any segment of the folder.

    Each closed file is read once for its own turns, and once more while there is a turn whose end is looked for.
    """

    def __init__(self, folder: Path) -> None:
        self.closed: set[Path] = set()
        self._folder = folder
        self._open: dict[Path, dict[str, Mark]] = {}
        self._searched: dict[Path, set[Path]] = {}

    def held_by(self, path: Path) -> bool:
        """Tell whether *path* mentions a turn without an end.

        Raises:
            OSError: A file cannot be read.
        """
        self._forget_deleted()
        if path not in self._open:
            self._open[path] = {turn: mark for turn, mark in last_turn_marks([path]).items() if not mark.ends_turn}
            self._searched[path] = {path}
        turns, searched = self._open[path], self._searched[path]
        for other in sorted(headers_in(self._folder), key=lambda other: (other < path, other)):
            if not turns:
                break
            if other not in searched:
                _leave_out_ended(turns, other)
                if other in self.closed:
                    searched.add(other)
        return bool(turns)

    def _forget_deleted(self) -> None:
        for path in [path for path in self._open if not path.exists()]:
            del self._open[path], self._searched[path]


def _leave_out_ended(turns: dict[str, Mark], path: Path) -> None:
    with suppress(OSError):  # gone meanwhile, or not ours to read
        for mark in turn_marks_of(path):
            known = turns.get(mark.turn)
            if known is not None and mark.ends_turn and mark.follows(known):
                del turns[mark.turn]


def _segments(folder: Path) -> list[_File]:
    """Return the segments of all processes, those written last at the end."""
    files = []
    for path, header in headers_in(folder).items():
        with suppress(FileNotFoundError):
            stat = path.stat()
            files.append(_File(stat.st_mtime_ns, path, stat.st_size, header))
    return sorted(files, key=lambda file: (file.written_ns, file.path))


def _closed(files: list[_File], process_id: str, in_use: set[Path]) -> list[_File]:
    others = {file.process_id: file for file in files if file.process_id != process_id}
    fates = {name: fate_of(file.header, last_pulse_ns(file.path.parent, name)) for name, file in others.items()}
    ours = {process_id, *(name for name, fate in fates.items() if fate == "killed")}
    return [file for file in files if file.path not in in_use and file.process_id in ours]
