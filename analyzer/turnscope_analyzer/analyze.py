"""The main job: records in, one verdict a turn out."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.classify import classify
from turnscope_analyzer.deliveries import deliveries_of
from turnscope_analyzer.discover import JOURNAL, discover
from turnscope_analyzer.engine import Engine
from turnscope_analyzer.explain import Explainer
from turnscope_analyzer.gathered import Gathered
from turnscope_analyzer.model import STATE_ORDER, Report, SourceRead
from turnscope_analyzer.question import Question
from turnscope_analyzer.sources.journal import Journals
from turnscope_analyzer.sources.opened import size_of
from turnscope_analyzer.sources.registry import SOURCES
from turnscope_analyzer.tables import (
    budget_rows,
    error_kind_rows,
    freeze_rows,
    limits_of,
    mark_row,
    plain_below_ns,
    process_row,
    vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from turnscope.phases import Cause, State
    from turnscope_analyzer.classify import Judgement
    from turnscope_analyzer.discover import Found
    from turnscope_analyzer.model import Finding, Process, Verdict

_BATCH_TURNS: Final = 500
"""Turns whose marks are held at once to put verdicts into words."""


def analyze(
    paths: Sequence[Path],
    *,
    budgets: Mapping[str, float] | None = None,
    now_ns: int | None = None,
    turn: str | None = None,
    session: str | None = None,
    since_ns: int | None = None,
    cause: str | None = None,
    everything: bool = False,
    detailed: int | None = None,
    stretches: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Read what is under *paths* and judge every turn in it.

    Args:
        paths: Files and folders: journals of ours, and all that ``sources.registry`` names; told by their content.
        budgets: Seconds until a phase is stuck, by phase; its slow limit keeps its proportion.
        now_ns: The time to judge by, ns since the epoch. Without it each process is judged by its last proof of
            life, or by now where it is alive on this host.
        turn: Only the turn with this id, or whose id begins so.
        session: Only turns of this session.
        since_ns: Only turns that had not ended before.
        cause: Only turns with this cause.
        everything: List plainly healthy turns, too, instead of counting them.
        detailed: How many turns of each state are listed, the longest wait first, beside those that a store
            contradicts; the others are judged and counted only. None lists all.
        stretches: Say of each turn that is listed where its time went. Of many long turns that is most of the memory.
        progress: Called now and then with bytes done and bytes in all.

    Returns:
        The report; its turns in the order of urgency, the longest wait first.

    Raises:
        AnalyzeError: A path is missing, cannot be read, or holds nothing that we know.
    """
    question = Question(
        budgets or {}, now_ns, turn, session, since_ns, cause,
        everything=everything, detailed=detailed, stretches=stretches,
    )  # fmt: skip
    return examine(discover(paths), question, progress)[0]


def examine(
    found: Found, question: Question, progress: Callable[[int, int], None] | None = None
) -> tuple[Report, Gathered]:
    """Judge every turn in the files *found*, as `analyze` does, and give what all sources but journals hold as well."""
    analysis = _Analysis(found, question, progress)
    return analysis.report(), analysis.gathered


class _Analysis:
    def __init__(self, found: Found, question: Question, progress: Callable[[int, int], None] | None) -> None:
        self.found = found
        self.question = question
        self._progress = progress or (lambda _done, _total: None)
        self._done_bytes = 0
        self._total_bytes = sum(size_of(path) for files in found.files.values() for path in files)
        self.gathered = Gathered()
        self.processes: dict[str, Process] = {}

    def report(self) -> Report:
        # Only journals are read by the engine itself; of all else it gets the marks alone.
        with Engine(sparing=not self.found.of(JOURNAL)) as engine:
            self._read_journals(engine)
            self._read_sources(engine)
            self._load_processes(engine)
            fresh = self._judge(engine)
            settled = self.journals.settled.counts(engine)
            plain = engine.rows("SELECT turns FROM plain")[0][0]
            of_journals = sum(judgement.facts.source == JOURNAL for judgement in fresh)
            in_journals = plain + of_journals + settled.total()
            judgements, unlisted = self._listed(engine, fresh, settled)
            verdicts = self._verdicts(engine, fresh, judgements)
            if self.question.closely is None:
                self.journals.keep(engine, fresh)
        horizon_ns = self.question.now_ns or max((p.horizon_ns for p in self.processes.values()), default=None)
        sent = deliveries_of({path.parent for path in self.found.of(JOURNAL)})
        return Report(
            sources=tuple(self._sources(in_journals)),
            horizon_ns=horizon_ns,
            turns=verdicts,
            healthy=0 if self.question.narrows else plain,
            rejects=tuple(sorted([*self.found.rejects, *self.journals.rejects, *self.gathered.rejects, *sent.rejects])),
            drops=self._drops(),
            findings=_due(self.gathered.findings_of(None), horizon_ns),
            notes=(*self.gathered.notes(), *sent.notes),
            unlisted=unlisted,
        )

    def _read_journals(self, engine: Engine) -> None:
        self.journals = Journals(self.found.of(JOURNAL), engine.folder)
        engine.load("vocabulary", vocabulary())
        engine.load("error_kinds", error_kind_rows())
        configured = [process.budgets() for process in self.journals.processes.values()]
        engine.load("capture", [{"plain_below_ns": plain_below_ns([*configured, limits_of(self.question.budgets)])}])
        # Another source may tell more of the same turns and processes: then no judgement is kept or believed.
        alone = not any(self.found.of(source.kind) for source in SOURCES)
        self.journals.glance(engine, self._advance, self.question, alone=alone)
        engine.load("plain", [{"turns": self.journals.plain(engine)}])
        self.journals.fetch(engine)
        self.processes.update((process.process_id, process) for process in self.journals.facts())

    def _read_sources(self, engine: Engine) -> None:
        for source in SOURCES:
            if files := self.found.of(source.kind):
                for capture in source.read(files, self._advance):
                    self.gathered.add(source.kind, capture)
        self.gathered.join()
        now_ns = self.question.now_ns
        for process in self.gathered.processes.values():
            self.processes[process.process_id] = process if now_ns is None else _as_of(process, now_ns)
        engine.load("marks", map(mark_row, self.gathered.all_marks()))

    def _load_processes(self, engine: Engine) -> None:
        processes = self.processes.values()
        asked = limits_of(self.question.budgets)
        engine.load("processes", (process_row(process) for process in processes))
        engine.load("freezes", (row for process in processes for row in freeze_rows(process)))
        engine.load("budgets", (row for process in processes for row in budget_rows(process, asked)))

    def _judge(self, engine: Engine) -> list[Judgement]:
        """Judge the turns that are not settled; all of them where what was settled does not hold any more."""
        settled = self.journals.settled
        judgements = classify(engine)
        if not settled.hold(engine) and settled.drop(engine):
            self.journals.fetch(engine)
            judgements = classify(engine)
        return judgements

    def _listed(
        self, engine: Engine, fresh: list[Judgement], settled: Counter[tuple[State, Cause | None]]
    ) -> tuple[list[Judgement], Counter[tuple[State, Cause | None]]]:
        """Return the judgements to list, most urgent first, and how many of those asked for are not listed."""
        first = self.question.detailed
        # A question that is narrower is asked of each turn; else the engine finds the first of those that are settled.
        some = None if self.question.narrows else first
        judgements = fresh + self.journals.settled.judgements(engine, self.processes, first=some)
        asked = sorted((judgement for judgement in judgements if self.question.wants(judgement)), key=_urgency)
        if first is None:
            return asked, Counter()
        listed = [
            judgement
            for _, turns in groupby(asked, key=lambda judgement: judgement.facts.state)
            for place, judgement in enumerate(turns)
            if place < first or self.gathered.findings_of(judgement.facts.turn_id)
        ]
        counts = _counts(asked) if some is None else _counts(fresh) + settled
        return listed, counts - _counts(listed)

    def _verdicts(
        self, engine: Engine, fresh: Sequence[Judgement], judgements: Sequence[Judgement]
    ) -> tuple[Verdict, ...]:
        """Put *judgements* into words, on their evidence."""
        queued = {judgement.facts.session_id for judgement in judgements if judgement.facts.phase == "queued"}
        busy = self.journals.settled.judgements(engine, self.processes, sessions=queued) if queued else []
        holders = _holders([*fresh, *busy])
        # In the order of their times, in which the records of neighbours lie together; so many at once bound memory.
        in_time = sorted(judgements, key=lambda judgement: judgement.facts.accepted_ns or 0)
        verdicts = {}
        for begin in range(0, len(in_time), _BATCH_TURNS):
            batch = in_time[begin : begin + _BATCH_TURNS]
            fetched = self.journals.marks(engine, {judgement.facts.turn_id for judgement in batch})
            for judgement in batch:
                facts = judgement.facts
                marks = self.gathered.marks_of(facts.turn_id) + fetched.get(facts.turn_id, [])
                found = _due(self.gathered.findings_of(facts.turn_id), facts.horizon_ns)
                explainer = Explainer(judgement, marks, self.processes, holders.get(facts.session_id), found)
                verdicts[facts.turn_id] = explainer.verdict(with_stretches=self.question.stretches)
        return tuple(verdicts[judgement.facts.turn_id] for judgement in judgements)

    def _sources(self, in_journals: int) -> Iterator[SourceRead]:
        for kind, files in self.found.files.items():
            folder = os.path.commonpath([str(file.parent) for file in files])
            turns = in_journals if kind == JOURNAL else self.gathered.turns_in(kind)
            yield SourceRead(kind, folder, len(files), sum(map(size_of, files)), turns)

    def _drops(self) -> dict[str, int]:
        drops: Counter[str] = Counter()
        for process in self.processes.values():
            drops.update(process.drops)
        return dict(drops)

    def _advance(self, n_bytes: int) -> None:
        self._done_bytes += n_bytes
        self._progress(self._done_bytes, self._total_bytes)


def _counts(judgements: Iterable[Judgement]) -> Counter[tuple[State, Cause | None]]:
    return Counter((judgement.facts.state, judgement.cause) for judgement in judgements)


def _holders(judgements: Iterable[Judgement]) -> dict[str | None, Judgement]:
    """Return by session the turn that it is busy with: the first one that has not ended and is not in the queue."""
    running = [
        j for j in judgements if j.facts.ended_phase is None and j.facts.wait_phase not in {"queued", "accepted"}
    ]
    running.sort(key=lambda j: j.facts.accepted_ns or 0, reverse=True)
    return {judgement.facts.session_id: judgement for judgement in running}


def _due(findings: Iterable[Finding], horizon_ns: int | None) -> tuple[Finding, ...]:
    """Return those of *findings* that are contradictions by then."""
    return tuple(found for found in findings if found.due_ns is None or (horizon_ns or 0) >= found.due_ns)


def _as_of(process: Process, now_ns: int) -> Process:
    if process.fate in {"killed", "ended"} and process.horizon_ns < now_ns:
        # Nothing waits in a process that is gone.
        return process
    return replace(process, horizon_ns=now_ns, horizon_why="judged as of the time that was given")


def _urgency(judgement: Judgement) -> tuple[int, int, str]:
    facts = judgement.facts
    return STATE_ORDER.index(facts.state), -(facts.age_ns or 0), facts.turn_id
