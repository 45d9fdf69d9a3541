"""Journals of our own recorder: a glance at every mark, a close look at the turns that need one.

The engine reads the segments once to see which turns plainly went well. Only the lines of the others are fetched,
and only those become marks.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate, groupby
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import duckdb
import orjson

from turnscope.errors import JournalFormatError
from turnscope.phases import PHASE
from turnscope_analyzer.cache import GlanceCache
from turnscope_analyzer.model import Reject
from turnscope_analyzer.settled import SettledTurns, stamp_of
from turnscope_analyzer.sources.damage import blanked, fields_of, is_overlong, rejects_in
from turnscope_analyzer.sources.processes import JournalProcess, clock_rows, slot_rows
from turnscope_analyzer.sources.segments import open_segment, with_text
from turnscope_analyzer.sources.windows import Text, by_file
from turnscope_analyzer.steady import SteadyTurns
from turnscope_analyzer.tables import limits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from turnscope_analyzer.classify import Judgement
    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.model import Mark, Process
    from turnscope_analyzer.question import Question
    from turnscope_analyzer.sources.segments import Segment
    from turnscope_analyzer.sources.windows import Located, Window
    from turnscope_analyzer.tables import Limits

_SEARCH_SHARE: Final = 0.2
"""Share of the marks below which the engine is given only those that matter."""

_BATCH_BYTES: Final = 256 << 20
"""What the engine scans in one statement; it holds a row for each turn in it."""


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
        self._mended: set[str] = set()
        self._strangers: dict[str, Segment] = {}

    def glance(
        self, engine: Engine, progress: Callable[[int], None], question: Question, *, alone: bool = True
    ) -> None:
        """Look at every mark once, or at what is kept of that: fills ``glance``; *progress* gets the bytes done."""
        self._load_files(engine)
        engine.set("closely", question.closely)
        engine.set("plain_below_ns", engine.rows("SELECT plain_below_ns FROM capture")[0][0])
        self._cache = GlanceCache([segment for segment in self.segments if self._is_at_rest(segment)])
        known = self._cache.load(engine)
        self._scanned = set(known)
        try:
            self._scan(engine, progress)
        except duckdb.Error:
            self._mend(engine, {str(segment.text) for segment in self.segments if self._is_broken(segment)})
            self._scan(engine, progress)
        strange = engine.rows("SELECT file FROM glance_parts WHERE turn_id IS NULL AND marks > notes")
        if strange:
            self._mend(engine, {file for (file,) in strange})
            self._scan(engine, progress)
        more = question.closely is not None or len(self._scanned) > len(known)
        if not self._cache.wake(engine, more=more):
            self._scanned = set()
            self._scan(engine, progress)
        self._now_ns = question.now_ns
        self._load_lives(engine)
        self._load_files(engine, self._stamps(limits_of(question.budgets)))
        engine.build("core/11_glance", "core/12_stamps")
        folder = self._cache.folder if alone else None
        self.settled, self._steady = SettledTurns(folder), SteadyTurns(folder)
        self.settled.load(engine)
        self._steady.load(engine)
        if question.closely != "":
            self._steady.look(engine, [str(s.text) for s in self.segments], self._marks(engine) * _SEARCH_SHARE)
        if question.closely is not None:
            engine.rows("UPDATE glance SET plain = FALSE WHERE starts_with(turn_id, $1)", [question.closely])

    def plain(self, engine: Engine) -> int:
        """Return how many turns plainly went well and are not looked at closely."""
        seen: int = engine.rows("SELECT count(*) FROM glance WHERE plain")[0][0]
        return seen + self._cache.calm(engine)

    def fetch(self, engine: Engine) -> None:
        """Put the marks of the turns that need a closer look, and are not settled, into ``marks``."""
        engine.build("core/13_windows")
        engine.rows("DELETE FROM marks WHERE process_id IN (SELECT process_id FROM clocks)")
        due = engine.rows("SELECT coalesce(sum(marks), 0) FROM windows")[0][0]
        if not due:
            return
        # Below that share a search for the lines is cheaper than to have all of them parsed once more.
        lines = (
            self._searched(engine)
            if due < self._marks(engine) * _SEARCH_SHARE
            else [str(s.text) for s in self.segments]
        )
        engine.set("mark_lines", lines)
        self._load_clocks(engine)
        with engine.joining_as_written():
            engine.append("marks", "adapters/duckdb_marks")
        if self._know_strangers(engine):
            self._load_clocks(engine)
            engine.rows("DELETE FROM marks WHERE process_id IN (SELECT process_id FROM clocks)")
            with engine.joining_as_written():
                engine.append("marks", "adapters/duckdb_marks")

    @staticmethod
    def _marks(engine: Engine) -> int:
        """Return how many marks there are in all."""
        return sum(
            engine.rows(f"SELECT coalesce(sum(marks), 0) FROM {table}")[0][0] for table in ("glance_parts", "calm")
        )

    def _searched(self, engine: Engine) -> list[str]:
        """Write the lines of the turns that need a closer look into a file, and return its name."""
        spool = engine.folder / "mark_lines.jsonl"
        windows = by_file(engine.rows("SELECT file, turn_id, first_m, last_m, marks FROM windows"))
        with spool.open("wb") as out:
            for _, segments in groupby(self.segments, key=attrgetter("process_id")):
                written: set[int] = set()
                for segment in segments:
                    for _, line in self._lines(segment, windows.get(str(segment.text), ())):
                        # Of turns that stay open most lines are repeated from older segments: half of all.
                        if (known := hash(line)) not in written:
                            written.add(known)
                            out.write(line)
        return [str(spool)]

    def facts(self) -> list[Process]:
        """Return what is known of each process, as far as the glance has seen it."""
        return [
            *self._facts.values(),
            *(self._facts_of(stranger, segment.process_id) for stranger, segment in self._strangers.items()),
        ]

    def _load_lives(self, engine: Engine) -> None:
        seen = engine.rows(
            "SELECT process_id, max(last_m), sum(breaks) > 0 FROM ("
            "SELECT file, last_m, breaks FROM glance_parts UNION ALL SELECT file, last_m, 0 FROM calm"
            ") INNER JOIN files USING (file) GROUP BY process_id"
        )
        self._lives = {process_id: (last_m, stood_still) for process_id, last_m, stood_still in seen}
        self._facts = {process_id: self._facts_of(process_id, process_id) for process_id in self._lives}

    def _facts_of(self, process_id: str, life_of: str) -> Process:
        last_m, stood_still = self._lives[life_of]
        return self.processes[process_id].facts(last_m, self._now_ns, stood_still=stood_still)

    def _is_at_rest(self, segment: Segment) -> bool:
        """Tell whether nothing can be added to the segment any more."""
        return segment.closed or self.processes[segment.process_id].fate() in {"ended", "killed"}

    def _stamps(self, asked: Mapping[str, Limits]) -> dict[str, int]:
        """Return the stamps of the files that are at rest and whole."""
        return {
            str(segment.text): stamp_of(key, self.processes[process_id], self._facts[process_id], asked)
            for segment in self.segments
            if (key := self._cache.keys.get(str(segment.text))) and (process_id := segment.process_id) in self._facts
        }

    def marks(self, engine: Engine, turn_ids: Collection[str]) -> dict[str, list[Mark]]:
        """Read the marks of turns that were fetched again, with all that they carry, each once."""
        found: dict[tuple[str, int], Mark] = {}
        asked = "SELECT file, turn_id, first_m, last_m, marks FROM glance_parts WHERE turn_id IN (SELECT unnest($1))"
        windows = by_file(engine.rows(asked, [list(turn_ids)]))
        for segment in self.segments:
            for offset, line in self._lines(segment, windows.get(str(segment.text), ())):
                try:
                    record = fields_of(line)
                except JournalFormatError as error:
                    self.rejects.append(Reject(str(segment.path), offset, error.problem))
                    continue
                if record["phase"] in PHASE and record["proc"] in self.processes:
                    mark = self.processes[record["proc"]].mark(record, segment, offset)
                    found.setdefault((mark.process_id, mark.seq), mark)
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

    def _lines(self, segment: Segment, windows: Sequence[Window]) -> Iterator[Located]:
        """Yield the lines of some turns; none where the segment has gone since."""
        if not windows:
            return
        try:
            with segment.text.open("rb", buffering=0) as file:
                yield from Text(file, segment.text_bytes, windows, may_carry=segment.number != 1).find()
        except OSError as error:
            self._miss(segment, error)

    def _miss(self, segment: Segment, error: OSError) -> None:
        """Note that a segment has gone since it was opened, as its process may delete old ones."""
        if segment.path not in self._gone:
            self._gone.add(segment.path)
            self.rejects.append(Reject(str(segment.path), 0, f"cannot be read: {error.strerror}"))

    def _data(self, segment: Segment) -> bytes:
        """Return the text; nothing where the segment has gone since."""
        try:
            return segment.text.read_bytes()
        except OSError as error:
            self._miss(segment, error)
            return b""

    def _is_broken(self, segment: Segment) -> bool:
        """Tell whether the engine cannot read the file: a line is longer than it takes, or the file is gone."""
        data = self._data(segment)
        return not data or is_overlong(data)

    def _mend(self, engine: Engine, files: Collection[str]) -> None:
        """Put copies without what is no record in place of *files*; these are yet to be scanned."""
        for place, segment in enumerate(self.segments):
            if str(segment.text) in files:
                self._mended.add(str(segment.text))
                data = self._data(segment)
                rejects = list(rejects_in(data, segment.path))
                self.rejects += rejects
                self.segments[place] = with_text(segment, blanked(data, rejects), self._copies)
        self._load_files(engine)

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

    def keep(self, engine: Engine, judgements: Iterable[Judgement]) -> None:
        """Keep for the next analysis the glance at segments at rest, and judgements that still hold then."""
        self._cache.keep(engine, without=self._mended)
        if not self._strangers:
            self.settled.keep(engine, judgements, self._facts)
            self._steady.keep(engine)

    def _load_files(self, engine: Engine, stamps: Mapping[str, int] = MappingProxyType({})) -> None:
        named = [(str(segment.text), segment.process_id) for segment in self.segments]
        engine.clear("files")
        engine.load("files", ({"file": file, "process_id": of, "stamp": stamps.get(file)} for file, of in named))

    def _scan(self, engine: Engine, progress: Callable[[int], None]) -> None:
        """Scan what is yet to be scanned, so much at a time that the memory for it is bounded."""
        left = [segment for segment in self.segments if str(segment.text) not in self._scanned]
        for _, batch in groupby(zip(left, accumulate(s.text_bytes for s in left), strict=True), key=_batch_of):
            files = [segment for segment, _ in batch]
            engine.set("segment_files", [str(segment.text) for segment in files])
            engine.view("scan", "adapters/duckdb_journal")
            engine.append("glance_parts", "core/10_glance_parts")
            self._scanned.update(str(segment.text) for segment in files)
            progress(sum(segment.text_bytes for segment in files))

    def _load_clocks(self, engine: Engine) -> None:
        engine.clear("clocks")
        engine.clear("slots")
        engine.load("clocks", clock_rows(self.processes.values()))
        engine.load("slots", slot_rows(self.processes.values()))


def _batch_of(segment_and_end: tuple[Segment, int]) -> int:
    return segment_and_end[1] // _BATCH_BYTES
