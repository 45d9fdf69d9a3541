"""What one glance at a segment at rest has told is kept as Parquet, so that the next analysis reads only what is new.

A kept glance holds for exactly that file: its path, size, time of change and inode, and for the statements that made
it. It lies in the user's cache folder, never beside the journal; without it everything is only slower.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from turnscope_analyzer.engine import statement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.sources.segments import Segment

_KEEP_S: Final = 30 * 86_400
"""A kept file that nobody used for so long is deleted."""

_FOLDER_NAME: Final = "turnscope-glance-"
_FILE_NAME: Final = re.compile(r"(?:[0-9a-f]+-\d+|settled|steady)\.(?:parquet|\d*\.?tmp)")

_MOST_FILES: Final = 16
"""More files than this are put together into one."""

_MADE_BY: Final = (
    "adapters/duckdb_journal",
    "core/10_glance_parts",
    "core/11_glance",
    "core/15_paces",
    "adapters/duckdb_strides",
    "adapters/duckdb_keep",
    "adapters/duckdb_together",
)


class GlanceCache:
    """The kept glances at the segments of one analysis, all of them at rest. Nothing here ever fails an analysis."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        salt = hashlib.sha256("".join(map(statement, _MADE_BY)).encode()).hexdigest()
        keys = ((str(s.text), _key(s, salt)) for s in segments)
        self.keys: Final = {file: key for file, key in keys if key is not None}
        self.folder: Final = _folder(segment.path for segment in segments if str(segment.text) in self.keys)
        self._known: set[str] = set()
        self._woken = 0
        self._together = True

    def load(self, engine: Engine) -> set[str]:
        """Append what is kept of turns that were not plain to ``glance_parts``; return files that need no reading."""
        engine.load("segment_keys", ({"file": file, "key": key} for file, key in self.keys.items()))
        files = self._files()
        self._together = len(files) == 1
        if files:
            try:
                engine.set("glance_files", [str(file) for file in files])
                engine.view("kept_parts", "adapters/duckdb_kept")
                engine.append("calm", "adapters/duckdb_calm")
                engine.append("glance_parts", "adapters/duckdb_restless")
                for file in files:
                    os.utime(file)
            except (duckdb.Error, OSError):
                self._discard(engine)
        known = engine.rows("SELECT file FROM calm UNION SELECT file FROM glance_parts")
        self._known = {file for (file,) in known}
        return self._known

    def wake(self, engine: Engine, *, more: bool) -> bool:
        """Append what is kept of turns that were plain, and of which there is more to see, to ``glance_parts``.

        Args:
            engine: The engine that holds what ``load`` could read.
            more: There are rows beside those, or some turns are to be seen anyway.

        Returns:
            False, and nothing is known any more, when somebody has removed what ``load`` could read.
        """
        # What was kept together was plain in view of all that lies beside it there.
        if self._known and (more or not self._together):
            try:
                self._woken = engine.append("glance_parts", "adapters/duckdb_woken")
            except (duckdb.Error, OSError):
                self._discard(engine)
                self._known = set()
                return False
        return True

    def calm(self, engine: Engine) -> int:
        """Return of how many turns it is enough to know that they were plain."""
        turns: int = engine.rows("SELECT coalesce(sum(turns), 0) FROM calm")[0][0]
        return turns - self._woken

    def keep(self, engine: Engine, *, without: Collection[str]) -> None:
        """Keep what was read for the first time, but for the files *without*."""
        new = [file for file in self.keys if file not in self._known and file not in without]
        if self.folder is None or not new:
            return
        with suppress(duckdb.Error, OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            engine.set("kept_files", new)
            self._export(engine, "adapters/duckdb_keep")
            files = self._files()
            if len(files) > _MOST_FILES:
                engine.set("glance_files", [str(file) for file in files])
                self._export(engine, "adapters/duckdb_together")
                for file in files:
                    file.unlink(missing_ok=True)
        forget(self.folder.parent)

    def _discard(self, engine: Engine) -> None:
        """Do without what cannot be read, here and from now on: what is read instead is kept anew, and counts once."""
        engine.clear("calm")
        engine.clear("glance_parts")
        for file in self._files():
            with suppress(OSError):
                file.unlink()

    def _export(self, engine: Engine, name: str) -> None:
        assert self.folder is not None
        export(engine, name, self.folder / f"{time.time_ns():x}-{os.getpid()}.parquet")

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*-*.parquet")) if self.folder is not None and self.folder.is_dir() else []


def export(engine: Engine, name: str, path: Path) -> None:
    """Write the rows of a statement to *path*, all or nothing.

    Raises:
        OSError: It cannot be written.
        duckdb.Error: It cannot be written, says the engine.
    """
    written = path.with_suffix(f".{os.getpid()}.tmp")
    engine.export(name, written)
    written.replace(path)


def forget(caches: Path) -> None:
    """Delete what nobody used for long, also of other journals."""
    with suppress(OSError):
        for file in caches.glob(f"{_FOLDER_NAME}*/*"):
            # The folder may be the user's own and hold other things: only what bears our name is ours.
            if _FILE_NAME.fullmatch(file.name) and time.time() - file.stat().st_mtime > _KEEP_S:
                file.unlink()


def number_of(text: str, bits: int) -> int:
    """Return a number of so many *bits* that stands for *text*."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def _key(segment: Segment, salt: str) -> int | None:
    """Return what tells the file from any other, and from itself after a change; None when it is gone."""
    try:
        stat = segment.path.stat()
    except OSError:
        return None
    # The text of a file at rest may be followed by NUL bytes: its process was killed.
    lengths = f"{stat.st_size}/{segment.text_bytes}"
    return number_of(f"{segment.path.resolve()}/{lengths}/{stat.st_mtime_ns}/{stat.st_ino}/{salt}", 63)


def _folder(files: Iterable[Path]) -> Path | None:
    """Return where the glances at these files are kept; None when there is nothing to keep or nowhere to."""
    parents = sorted({str(file.parent.resolve()) for file in files})
    chosen = os.environ.get("TURNSCOPE_CACHE")
    if not parents or chosen == "":
        return None
    name = _FOLDER_NAME + hashlib.sha256("\n".join(parents).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    if chosen:
        return Path(chosen) / name
    base = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):
        return (Path(base) if base else Path.home() / ".cache") / "turnscope" / name
    return None
