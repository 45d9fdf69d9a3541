"""The main job: records in, one verdict a turn out."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from turnscope_analyzer.classify import classify
from turnscope_analyzer.discover import discover
from turnscope_analyzer.engine import Engine
from turnscope_analyzer.explain import Explainer
from turnscope_analyzer.model import STATE_ORDER, Reject, Report, SourceRead
from turnscope_analyzer.question import Question
from turnscope_analyzer.sources.codex.rollout import open_files, read_rollout
from turnscope_analyzer.sources.journal import Journals
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

    from turnscope_analyzer.classify import Judgement
    from turnscope_analyzer.discover import Found
    from turnscope_analyzer.model import Capture, Mark, Process, Verdict


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
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Read what is under *paths* and judge every turn in it.

    Args:
        paths: Files and folders: journals of ours, Codex rollouts; told by their content.
        budgets: Seconds until a phase is stuck, by phase; its slow limit keeps its proportion.
        now_ns: The time to judge by, ns since the epoch. Without it each process is judged by its last proof of
            life, or by now where it is alive on this host.
        turn: Only the turn with this id, or whose id begins so.
        session: Only turns of this session.
        since_ns: Only turns that had not ended before.
        cause: Only turns with this cause.
        everything: List plainly healthy turns, too, instead of counting them.
        detailed: How many turns of each state get their evidence and stretches, the longest wait first; None for all.
        progress: Called now and then with bytes done and bytes in all.

    Returns:
        The report; its turns in the order of urgency, the longest wait first.

    Raises:
        AnalyzeError: A path is missing, cannot be read, or holds nothing that we know.
    """
    question = Question(budgets or {}, now_ns, turn, session, since_ns, cause, everything=everything, detailed=detailed)
    return _Analysis(discover(paths), question, progress).report()


class _Analysis:
    def __init__(self, found: Found, question: Question, progress: Callable[[int, int], None] | None) -> None:
        self.found = found
        self.question = question
        self._progress = progress or (lambda _done, _total: None)
        self._done_bytes = 0
        self._total_bytes = sum(_size(path) for path in (*found.segments, *found.rollouts))
        self._marks: dict[str, list[Mark]] = defaultdict(list)
        self._seen: set[tuple[str, int, str, int]] = set()
        self.processes: dict[str, Process] = {}

    def report(self) -> Report:
        with Engine() as engine:
            self._read_journals(engine)
            self._read_rollouts(engine)
            self._load_processes(engine)
            judgements = self._judge(engine)
            plain = engine.rows("SELECT turns FROM plain")[0][0]
            counts = Counter(judgement.facts.source for judgement in judgements)
            counts["journal"] += plain
            verdicts = tuple(self._verdicts(engine, judgements))
            if self.question.closely is None:
                self.journals.keep(engine, judgements, without=self._marks)
        return Report(
            sources=tuple(self._sources(counts)),
            horizon_ns=self.question.now_ns or max((p.horizon_ns for p in self.processes.values()), default=None),
            turns=verdicts,
            healthy=0 if self.question.narrows else plain,
            rejects=tuple(self._rejects()),
            drops=self._drops(),
        )

    def _read_journals(self, engine: Engine) -> None:
        self.journals = Journals(self.found.segments, engine.folder)
        engine.load("vocabulary", vocabulary())
        engine.load("error_kinds", error_kind_rows())
        configured = [process.budgets() for process in self.journals.processes.values()]
        engine.load("capture", [{"plain_below_ns": plain_below_ns([*configured, limits_of(self.question.budgets)])}])
        self.journals.glance(engine, self._advance, self.question)
        engine.load("plain", [{"turns": self.journals.plain(engine)}])
        self.journals.fetch(engine)
        self.processes.update((process.process_id, process) for process in self.journals.facts())

    def _read_rollouts(self, engine: Engine) -> None:
        held = open_files() if self.found.rollouts else frozenset()
        for path in self.found.rollouts:
            try:
                capture = read_rollout(path, held=held)
            except OSError as error:
                self.found.rejects.append(Reject(str(path), 0, f"cannot be read: {error.strerror}"))
                continue
            finally:
                self._advance(_size(path))
            self._add(capture)
        engine.load("marks", (mark_row(mark) for marks in self._marks.values() for mark in marks))

    def _add(self, capture: Capture) -> None:
        for process in capture.processes:
            now_ns = self.question.now_ns
            self.processes[process.process_id] = process if now_ns is None else _as_of(process, now_ns)
        for mark in capture.marks:
            # A thread may lie there twice, in a backup or archived: the same record counts once.
            name = (mark.process_id, mark.seq, mark.phase, mark.at_ns)
            if name not in self._seen:
                self._seen.add(name)
                self._marks[mark.turn_id].append(mark)
        self.found.rejects += capture.rejects

    def _load_processes(self, engine: Engine) -> None:
        processes = self.processes.values()
        asked = limits_of(self.question.budgets)
        engine.load("processes", (process_row(process) for process in processes))
        engine.load("freezes", (row for process in processes for row in freeze_rows(process)))
        engine.load("budgets", (row for process in processes for row in budget_rows(process, asked)))

    def _judge(self, engine: Engine) -> list[Judgement]:
        """Judge the turns that are not settled, and all of them where what was settled does not hold any more."""
        settled = self.journals.settled
        if self._marks and settled.drop(engine, self._marks):
            self.journals.fetch(engine)
        judgements = classify(engine)
        if not settled.hold(engine) and settled.drop(engine):
            self.journals.fetch(engine)
            judgements = classify(engine)
        return judgements + settled.judgements(engine, self.processes)

    def _verdicts(self, engine: Engine, judgements: Sequence[Judgement]) -> Iterator[Verdict]:
        """Yield what was asked for, most urgent first; all but the first ones without their evidence, if so asked."""
        asked = sorted((judgement for judgement in judgements if self.question.wants(judgement)), key=_urgency)
        of_state = groupby(asked, key=lambda judgement: judgement.facts.state)
        shown = (islice(turns, self.question.detailed) for _, turns in of_state)
        detailed = {judgement.facts.turn_id for turns in shown for judgement in turns}
        fetched = self.journals.marks(engine, detailed)
        holders = _holders(judgements)
        for judgement in asked:
            turn_id = judgement.facts.turn_id
            marks = self._marks.get(turn_id, []) + fetched.get(turn_id, []) if turn_id in detailed else []
            holder = holders.get(judgement.facts.session_id)
            yield Explainer(judgement, marks, self.processes, holder).verdict()

    def _sources(self, counts: Counter[str]) -> Iterator[SourceRead]:
        for kind, files in (("journal", self.found.segments), ("codex", self.found.rollouts)):
            if files:
                folder = os.path.commonpath([str(file.parent) for file in files])
                yield SourceRead(kind, folder, len(files), sum(map(_size, files)), counts[kind])

    def _rejects(self) -> list[Reject]:
        return sorted(self.found.rejects + self.journals.rejects)

    def _drops(self) -> dict[str, int]:
        drops: Counter[str] = Counter()
        for process in self.processes.values():
            drops.update(process.drops)
        return dict(drops)

    def _advance(self, n_bytes: int) -> None:
        self._done_bytes += n_bytes
        self._progress(self._done_bytes, self._total_bytes)


def _holders(judgements: Iterable[Judgement]) -> dict[str | None, Judgement]:
    """Return by session the turn that it is busy with: the first one that has not ended and is not in the queue."""
    running = [
        j for j in judgements if j.facts.ended_phase is None and j.facts.wait_phase not in {"queued", "accepted"}
    ]
    running.sort(key=lambda j: j.facts.accepted_ns or 0, reverse=True)
    return {judgement.facts.session_id: judgement for judgement in running}


def _as_of(process: Process, now_ns: int) -> Process:
    return replace(process, horizon_ns=now_ns, horizon_why="judged as of the time that was given")


def _urgency(judgement: Judgement) -> tuple[int, int, str]:
    facts = judgement.facts
    return STATE_ORDER.index(facts.state), -(facts.age_ns or 0), facts.turn_id


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
