"""Turns that took long and went well all the same: known by their waits, without a close look at each.

A turn of many minutes may hold a wait that is past its budget, so its length does not show that it went well. Where
many are long, their waits are measured in one pass over the files. What that has shown is kept, with the stamps of the
turns; a turn that lies in one file is kept with the glance at it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import duckdb

from turnscope_analyzer.cache import export

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from turnscope_analyzer.engine import Engine


class SteadyTurns:
    """The turns of one analysis whose waits were all short. Nothing here ever fails an analysis.

    Args:
        folder: Where to keep what was seen, None for nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / "steady.parquet" if folder is not None else None
        self._looked = False

    def load(self, engine: Engine) -> None:
        """Call those turns plain in ``glance`` of which it is known, and of which everything is as it was."""
        if self._path is None or not self._path.is_file():
            return
        with suppress(duckdb.Error, OSError):
            engine.set("steady_file", str(self._path))
            engine.build("adapters/duckdb_steady")
            engine.rows("UPDATE glance SET plain = TRUE WHERE turn_id IN (SELECT turn_id FROM steady)")
            os.utime(self._path)

    def look(self, engine: Engine, files: Sequence[str], marks: float) -> None:
        """Measure the waits of the turns that took long, if these have at least so many *marks* in *files*."""
        engine.build("core/14_unhurried")
        if engine.rows("SELECT coalesce(sum(marks), 0) FROM unhurried")[0][0] < max(marks, 1):
            return
        engine.set("mark_lines", files)
        engine.view("strides", "adapters/duckdb_strides")
        with engine.joining_as_written():
            engine.build("core/15_paces")
        engine.rows(
            "UPDATE glance SET plain = TRUE WHERE turn_id IN (SELECT turn_id FROM paces, capture"
            " WHERE longest_ns < plain_below_ns)"
        )
        self._looked = True

    def keep(self, engine: Engine) -> None:
        """Keep for the next analysis which turns were steady."""
        if self._path is None or not self._looked:
            return
        with suppress(duckdb.Error, OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            export(engine, "adapters/duckdb_keep_steady", self._path)
