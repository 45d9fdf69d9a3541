"""What all sources but the journal gave: marks by turn, each turn under one name and one process."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from turnscope_analyzer.sources.join import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from turnscope_analyzer.model import Capture, Finding, Mark, Process, Reject


class Gathered:
    """The captures of one analysis. `add` them all, then `join`; what is asked of it before is not complete."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.rejects: list[Reject] = []
        self._marks: dict[str, list[Mark]] = defaultdict(list)
        self._findings: dict[str | None, list[Finding]] = defaultdict(list)
        self._names: dict[str, str] = {}
        self._windows: dict[str, tuple[int, int]] = {}
        self._turns: dict[str, set[str]] = defaultdict(set)
        self._left_alone: dict[str, Counter[str]] = defaultdict(Counter)
        self._seen: set[tuple[str, int, str, int]] = set()

    def add(self, kind: str, capture: Capture) -> None:
        """Take in what a source of *kind* gave."""
        for process in capture.processes:
            # Two files may tell of one, such as a thread's: it lived as long as the later one says.
            known = self.processes.get(process.process_id)
            if known is None or known.horizon_ns <= process.horizon_ns:
                self.processes[process.process_id] = process
        for mark in capture.marks:
            # A file may lie there twice, in a backup or archived: the same record counts once.
            name = (mark.process_id, mark.seq, mark.phase, mark.at_ns)
            if name not in self._seen:
                self._seen.add(name)
                self._marks[mark.turn_id].append(mark)
                self._turns[kind].add(mark.turn_id)
        self.rejects += capture.rejects
        for finding in capture.findings:
            self._findings[finding.turn_id].append(finding)
        self._names |= capture.names
        self._windows |= capture.windows
        self._left_alone[kind] += capture.left_alone

    def join(self) -> None:
        """Put the views of each turn together, also those that know it by another name only."""
        for name in self._names.keys() & self._marks.keys():
            turn_id = self._names[name]
            self._marks[turn_id] += (mark._replace(turn_id=turn_id) for mark in self._marks.pop(name))
        for name in self._names.keys() & self._findings.keys():
            self._findings[self._names[name]] += self._findings.pop(name)
        self._join_by_time()
        for turn_id, marks in self._marks.items():
            if len({mark.process_id for mark in marks}) > 1:
                self._marks[turn_id], process = join(marks, self.processes)
                self.processes[process.process_id] = process

    def _join_by_time(self) -> None:
        """Give the marks of turns that are known by session and time to the one turn that they can only mean."""
        begins: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for turn_id, marks in self._marks.items():
            if turn_id not in self._windows:
                first = min(marks, key=lambda mark: mark.at_ns)
                begins[first.session_id].append((first.at_ns, turn_id))
        for name, (from_ns, until_ns) in self._windows.items():
            marks = self._marks.get(name, [])
            session_id = marks[0].session_id if marks else ""
            fits = [turn_id for at_ns, turn_id in begins.get(session_id, ()) if from_ns <= at_ns <= until_ns]
            if session_id and len(fits) == 1:
                self._names[name] = fits[0]
                self._marks[fits[0]] += (mark._replace(turn_id=fits[0]) for mark in self._marks.pop(name))

    def all_marks(self) -> Iterable[Mark]:
        """Return every mark."""
        return chain.from_iterable(self._marks.values())

    def marks_of(self, turn_id: str) -> list[Mark]:
        """Return the marks of one turn."""
        return self._marks.get(turn_id, [])

    def findings_of(self, turn_id: str | None) -> list[Finding]:
        """Return what was found about one turn; about none in particular for None, or for a turn without marks."""
        if turn_id is not None:
            return self._findings.get(turn_id, [])
        return [
            finding
            for named, findings in self._findings.items()
            for finding in findings
            if named is None or named not in self._marks
        ]

    def turns_in(self, kind: str) -> int:
        """Return how many turns the sources of *kind* have marks of."""
        return len({self._names.get(turn_id, turn_id) for turn_id in self._turns[kind]})

    def notes(self) -> Iterator[str]:
        """Yield what was read and is no turn's, one sentence a source and kind."""
        for kind, counts in self._left_alone.items():
            for what, count in sorted(counts.items()):
                yield f"{kind}: {count:,} {what} left alone"
