"""What one glance at a closed segment has told is kept as Parquet, so that the next analysis reads only what is new.

A kept glance holds for exactly that file: its path, size, time of change and inode, and for the statement that made
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
    from collections.abc import Iterable

    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.sources.segments import Segment

_KEEP_S: Final = 30 * 86_400
"""A kept glance that nobody used for so long is deleted."""

_FOLDER_NAME: Final = "turnscope-glance-"
_FILE_NAME: Final = re.compile(r"[0-9a-f]+-\d+\.(?:parquet|tmp)")

_MOST_FILES: Final = 16
"""More files than this are put together into one."""


class GlanceCache:
    """The kept glances for the segments of one analysis. Nothing here ever fails an analysis."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        salt = hashlib.sha256(statement("core/10_glance_parts").encode()).hexdigest()
        keys = ((str(s.text), _key(s.path, salt)) for s in segments if s.closed)
        self._keys = {file: key for file, key in keys if key is not None}
        self._folder = _folder(self._keys)
        self._known: set[str] = set()

    def load(self, engine: Engine) -> set[str]:
        """Append what is kept to ``glance_parts`` and return the files that need no reading."""
        engine.load("segment_keys", ({"file": file, "key": key} for file, key in self._keys.items()))
        files = self._files()
        if files:
            with suppress(duckdb.Error, OSError):
                engine.set("kept_files", [str(file) for file in files])
                engine.append("glance_parts", "adapters/duckdb_kept")
                for file in files:
                    os.utime(file)
        self._known = {file for (file,) in engine.rows("SELECT DISTINCT file FROM glance_parts")}
        return self._known

    def keep(self, engine: Engine) -> None:
        """Keep what was read for the first time."""
        if self._folder is None or self._keys.keys() <= self._known:
            return
        together = len(self._files()) >= _MOST_FILES
        only = [file for file in self._keys if together or file not in self._known]
        path = self._folder / f"{time.time_ns():x}-{os.getpid()}.parquet"
        with suppress(duckdb.Error, OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            replaced = self._files() if together else []
            engine.set("kept_files", only)
            engine.export("adapters/duckdb_keep", path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
            for file in replaced:
                file.unlink(missing_ok=True)
        self._forget()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet")) if self._folder is not None and self._folder.is_dir() else []

    def _forget(self) -> None:
        """Delete what nobody used for long, also of other journals."""
        assert self._folder is not None
        with suppress(OSError):
            for file in self._folder.parent.glob(f"{_FOLDER_NAME}*/*"):
                # The folder may be the user's own and hold other things: only what bears our name is ours.
                if _FILE_NAME.fullmatch(file.name) and time.time() - file.stat().st_mtime > _KEEP_S:
                    file.unlink()


def _key(path: Path, salt: str) -> str | None:
    """Return what tells the file from any other, and from itself after a change; None when it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    name = f"{path.resolve()}/{stat.st_size}/{stat.st_mtime_ns}/{stat.st_ino}/{salt}"
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _folder(files: Iterable[str]) -> Path | None:
    """Return where the glances at these files are kept; None when there is nothing to keep or nowhere to."""
    parents = sorted({str(Path(file).parent.resolve()) for file in files})
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
