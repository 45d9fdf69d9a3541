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
from turnscope.reading import RawMark, read_segment
from turnscope.reading import Reject as NotARecord
from turnscope_analyzer.cache import GlanceCache
from turnscope_analyzer.model import Mark, Reject
from turnscope_analyzer.sources.processes import JournalProcess
from turnscope_analyzer.sources.segments import open_segment, without
from turnscope_analyzer.sources.windows import Text, Window

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.model import Process, Value
    from turnscope_analyzer.sources.segments import Segment


class Journals:
    """All segments of one analysis, with the processes that wrote them; ``rejects`` is complete after the glance."""

    def __init__(self, paths: Iterable[Path], copies: Path) -> None:
        self.segments = sorted((open_segment(path, copies) for path in paths), key=attrgetter("process_id", "path"))
        self.processes = {
            process_id: JournalProcess(list(group))
            for process_id, group in groupby(self.segments, key=attrgetter("process_id"))
        }
        self.rejects = [segment.torn for segment in self.segments if segment.torn]
        self._copies = copies
        self._numbers: dict[str, set[int]] = defaultdict(set)
        for segment in self.segments:
            self._numbers[segment.process_id].add(segment.number)
        self._windows: dict[str, list[Window]] = defaultdict(list)

    def glance(self, engine: Engine) -> None:
        """Look at every mark once, or at what is kept of that: fills ``glance``."""
        engine.load("files", ({"file": str(s.text), "process_id": s.process_id} for s in self.segments))
        self._cache = GlanceCache(self.segments)
        known = self._cache.load(engine)
        try:
            self._scan(engine, known)
        except duckdb.Error:
            # A line that is longer than the engine takes, in a damaged file: blank out what is no record.
            self.segments = [without(segment, self._rejects_of(segment), self._copies) for segment in self.segments]
            engine.clear("files")
            engine.load("files", ({"file": str(s.text), "process_id": s.process_id} for s in self.segments))
            self._scan(engine, known)
        engine.build("core/11_glance")
        strangers = "SELECT file FROM glance_parts WHERE turn_id IS NULL AND marks > notes"
        suspect = {file for (file,) in engine.rows(strangers)}
        for segment in self.segments:
            if str(segment.text) in suspect:
                self.rejects += self._rejects_of(segment)

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
            self._load_clocks(engine)
            engine.set("mark_lines", str(spool))
            engine.append("marks", "adapters/duckdb_marks")

    def facts(self, engine: Engine, now_ns: int | None) -> list[Process]:
        """Return what is known of each process, as far as the glance has seen it."""
        seen = engine.rows(
            "SELECT process_id, max(last_m), count(*) FILTER (WHERE notes > 1) > 0 "
            "FROM glance_parts INNER JOIN files USING (file) GROUP BY process_id"
        )
        return [self.processes[process_id].facts(last_m, noted, now_ns) for process_id, last_m, noted in seen]

    def marks(self, turn_ids: Collection[str]) -> dict[str, list[Mark]]:
        """Read the marks of turns that were fetched again, with all that they carry, each once."""
        found: dict[tuple[str, int], Mark] = {}
        for segment in self.segments:
            windows = [window for window in self._windows.get(str(segment.text), ()) if window.turn_id in turn_ids]
            for offset, line in self._text(segment).find(windows) if windows else ():
                record = orjson.loads(line)
                if record["phase"] in PHASE:
                    found.setdefault((record["proc"], record["seq"]), self._mark(record, segment, offset))
        by_turn: dict[str, list[Mark]] = defaultdict(list)
        for mark in found.values():
            by_turn[mark.turn_id].append(mark)
        return by_turn

    def _text(self, segment: Segment) -> Text:
        return Text(segment.text.read_bytes(), first=segment.number - 1 not in self._numbers[segment.process_id])

    def _mark(self, record: dict[str, Any], segment: Segment, offset: int) -> Mark:
        process = self.processes.get(record["proc"]) or self.processes[segment.process_id]
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

    def _scan(self, engine: Engine, known: Collection[str]) -> None:
        files = [str(segment.text) for segment in self.segments if str(segment.text) not in known]
        if files:
            engine.set("segment_files", files)
            engine.view("scan", "adapters/duckdb_journal")
            engine.append("glance_parts", "core/10_glance_parts")

    def _rejects_of(self, segment: Segment) -> Iterator[Reject]:
        for entry in read_segment(segment.text):
            if isinstance(entry, NotARecord):
                yield Reject(str(segment.path), entry.offset, entry.reason)
            elif isinstance(entry, RawMark):
                try:
                    entry.fields()
                except JournalFormatError as error:
                    yield Reject(str(segment.path), entry.offset, str(error))

    def _load_clocks(self, engine: Engine) -> None:
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
