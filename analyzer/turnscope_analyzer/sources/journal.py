"""Journals of our own recorder: a glance at every mark, a close look at the turns that need one.

The engine reads the segments once to see which turns plainly went well. Only the lines of the others are fetched,
and only those become marks.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from turnscope.errors import JournalFormatError
from turnscope.phases import PHASE
from turnscope_analyzer.cache import GlanceCache
from turnscope_analyzer.model import Mark, Reject
from turnscope_analyzer.sources.damage import blanked, fields_of, is_overlong, rejects_in
from turnscope_analyzer.sources.processes import JournalProcess
from turnscope_analyzer.sources.segments import open_segment, with_text
from turnscope_analyzer.sources.windows import Text, Window

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.model import Process, Value
    from turnscope_analyzer.sources.segments import Segment


class Journals:
    """All segments of one analysis, with the processes that wrote them; ``rejects`` is complete after the glance."""

    def __init__(self, paths: Iterable[Path], copies: Path) -> None:
        self.rejects: list[Reject] = []
        self._copies = copies
        opened = [segment for path in paths if (segment := self._open(path))]
        self.segments = sorted(opened, key=attrgetter("process_id", "number", "path"))
        self.processes = {
            process_id: JournalProcess(process_id, list(group))
            for process_id, group in groupby(self.segments, key=attrgetter("process_id"))
        }
        self.rejects += [segment.torn for segment in self.segments if segment.torn]
        self._gone: set[Path] = set()
        self._damage: dict[Path, list[Reject]] = {}
        self._strangers: dict[str, Segment] = {}
        self._windows: dict[str, list[Window]] = defaultdict(list)

    def glance(self, engine: Engine) -> None:
        """Look at every mark once, or at what is kept of that: fills ``glance``."""
        self._load_files(engine)
        self._cache = GlanceCache(self.segments)
        known = self._cache.load(engine)
        try:
            self._scan(engine, known)
        except duckdb.Error:
            # A line that is longer than the engine takes, or a file that is gone.
            self.segments = [self._mended(segment) for segment in self.segments]
            self._load_files(engine)
            self._scan(engine, known)
        engine.build("core/11_glance")
        strangers = "SELECT file FROM glance_parts WHERE turn_id IS NULL AND marks > notes"
        suspect = {file for (file,) in engine.rows(strangers)}
        for segment in self.segments:
            if str(segment.text) in suspect:
                self._damage[segment.path] = list(rejects_in(self._data(segment), segment.path))
                self.rejects += self._damage[segment.path]

    def fetch(self, engine: Engine) -> None:
        """Put the marks of the turns that need a closer look into ``marks``."""
        engine.build("core/12_windows")
        for row in engine.rows("SELECT file, turn_id, first_m, last_m, marks FROM windows ORDER BY file, first_m"):
            self._windows[row[0]].append(Window(*row[1:]))
        spool = engine.folder / "mark_lines.jsonl"
        with spool.open("wb") as out:
            for segment in self.segments:
                if windows := self._windows.get(str(segment.text)):
                    out.writelines(line for _, line in self._text(segment).find(windows))
        if spool.stat().st_size:
            engine.set("mark_lines", str(spool))
            self._load_clocks(engine)
            engine.append("marks", "adapters/duckdb_marks")
            if self._know_strangers(engine):
                engine.clear("marks")
                self._load_clocks(engine)
                engine.append("marks", "adapters/duckdb_marks")

    def facts(self, engine: Engine, now_ns: int | None) -> list[Process]:
        """Return what is known of each process, as far as the glance has seen it."""
        seen = engine.rows(
            "SELECT process_id, max(last_m), count(*) FILTER (WHERE notes > 1) > 0 "
            "FROM glance_parts INNER JOIN files USING (file) GROUP BY process_id"
        )
        lives = {process_id: (last_m, noted) for process_id, last_m, noted in seen}
        lives |= {stranger: lives[segment.process_id] for stranger, segment in self._strangers.items()}
        return [self.processes[process_id].facts(*known, now_ns) for process_id, known in lives.items()]

    def marks(self, turn_ids: Collection[str]) -> dict[str, list[Mark]]:
        """Read the marks of turns that were fetched again, with all that they carry, each once."""
        found: dict[tuple[str, int], Mark] = {}
        for segment in self.segments:
            windows = [window for window in self._windows.get(str(segment.text), ()) if window.turn_id in turn_ids]
            for offset, line in self._text(segment).find(windows) if windows else ():
                try:
                    record = fields_of(line)
                except JournalFormatError as error:
                    self.rejects.append(Reject(str(segment.path), offset, error.problem))
                    continue
                if record["phase"] in PHASE and record["proc"] in self.processes:
                    found.setdefault((record["proc"], record["seq"]), self._mark(record, segment, offset))
        by_turn: dict[str, list[Mark]] = defaultdict(list)
        for mark in found.values():
            by_turn[mark.turn_id].append(mark)
        return by_turn

    def _open(self, path: Path) -> Segment | None:
        try:
            return open_segment(path, self._copies)
        except OSError as error:
            self.rejects.append(Reject(str(path), 0, f"cannot be read: {error.strerror}"))
            return None

    def _data(self, segment: Segment) -> bytes:
        """Return the text; nothing where the segment has gone since, as its process may delete old ones."""
        try:
            return segment.text.read_bytes()
        except OSError as error:
            if segment.path not in self._gone:
                self._gone.add(segment.path)
                self.rejects.append(Reject(str(segment.path), 0, f"cannot be read: {error.strerror}"))
            return b""

    def _text(self, segment: Segment) -> Text:
        data, damage = self._data(segment), self._damage.get(segment.path)
        return Text(blanked(data, damage) if damage else data)

    def _mended(self, segment: Segment) -> Segment:
        data = self._data(segment)
        if data and not is_overlong(data):
            return segment
        rejects = list(rejects_in(data, segment.path))
        self.rejects += rejects
        return with_text(segment, blanked(data, rejects), self._copies)

    def _know_strangers(self, engine: Engine) -> bool:
        """Find the processes of marks that no header names, and take the header that they stand under for theirs.

        Its process id is damaged, or the mark's is: either way they share their clocks.
        """
        strangers = engine.rows("SELECT DISTINCT process_id FROM marks WHERE at_ns IS NULL")
        if strangers:
            engine.rows("DELETE FROM marks WHERE at_ns IS NULL")
        for (stranger,) in strangers:
            needle = b'"proc":' + orjson.dumps(stranger)
            for segment in self.segments:
                if stranger not in self._strangers and needle in self._data(segment):
                    self._strangers[stranger] = segment
                    self.processes[stranger] = JournalProcess(stranger, [segment])
        return bool(self._strangers)

    def _mark(self, record: dict[str, Any], segment: Segment, offset: int) -> Mark:
        process = self.processes[record["proc"]]
        attrs: dict[str, Value] = record.get("attrs") or {}
        return Mark(
            turn_id=record["turn"],
            session_id=record.get("session") or "",
            lane=record["lane"],
            phase=record["phase"],
            at_ns=record["m"] + process.wall_minus_mono_ns,
            wall_ns=record["t"],
            seq=record["seq"],
            process_id=record["proc"],
            file=str(segment.path),
            offset=offset,
            attrs=attrs | process.live_figures(record["seq"], attrs.get("slot")),
        )

    def keep(self, engine: Engine) -> None:
        """Keep the glance at closed segments for the next analysis."""
        self._cache.keep(engine)

    def _load_files(self, engine: Engine) -> None:
        engine.clear("files")
        engine.load("files", ({"file": str(s.text), "process_id": s.process_id} for s in self.segments))

    def _scan(self, engine: Engine, known: Collection[str]) -> None:
        files = [str(segment.text) for segment in self.segments if str(segment.text) not in known]
        if files:
            engine.set("segment_files", files)
            engine.view("scan", "adapters/duckdb_journal")
            engine.append("glance_parts", "core/10_glance_parts")

    def _load_clocks(self, engine: Engine) -> None:
        engine.clear("clocks")
        engine.clear("slots")
        engine.load(
            "clocks",
            (
                {"process_id": process.process_id, "wall_minus_mono_ns": process.wall_minus_mono_ns}
                for process in self.processes.values()
            ),
        )
        engine.load(
            "slots",
            (
                {
                    "process_id": process.process_id,
                    "seq": slot.seq,
                    "chunks": slot.chunks,
                    "progress_at": slot.progress_at,
                    "keepalives": slot.keepalives,
                    "cursor": slot.cursor,
                }
                for process in self.processes.values()
                for slot in process.slots()
            ),
        )
