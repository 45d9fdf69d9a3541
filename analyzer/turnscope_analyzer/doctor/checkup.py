"""One home from end to end: what lies in it, what its records say, and everything that is wrong with that.

A home is read as `analyze` reads it, so that the two never say different things of a turn.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope.phases import PHASE
from turnscope_analyzer.analyze import examine
from turnscope_analyzer.context.measure import measure
from turnscope_analyzer.discover import discover
from turnscope_analyzer.doctor import codex, openclaw, threads, turns
from turnscope_analyzer.doctor.diagnosis import Checkup, Messages, Standing, diagnose, urgency
from turnscope_analyzer.doctor.stores import stores_of
from turnscope_analyzer.doctor.told import dropped, of_finding
from turnscope_analyzer.model import Evidence
from turnscope_analyzer.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from turnscope_analyzer.context.measure import ThreadSize
    from turnscope_analyzer.discover import Found
    from turnscope_analyzer.doctor.diagnosis import Diagnosis
    from turnscope_analyzer.doctor.homes import Home
    from turnscope_analyzer.gathered import Gathered
    from turnscope_analyzer.model import Finding, Reject, Report, Verdict

_SMALL_BYTES: Final = 1_000_000
"""A transcript below this size is not measured: nothing in it can be too large."""

_MOST_REJECTS: Final = 10


def check(
    home: Home,
    open_stores: Mapping[str, set[int]],
    *,
    now_ns: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Checkup:
    """Look over one home.

    Args:
        home: The folder.
        open_stores: Real state folders that a live process has open, from `homes.open_stores`.
        now_ns: The time to judge by. Without it a home in its own place is judged as of now, and a copy as of the
            last that is on file in it.
        progress: Called now and then with bytes done and bytes in all.

    Raises:
        AnalyzeError: It cannot be read, or holds nothing that we know.
    """
    return _Checkup(home, discover([home.path]), open_stores, now_ns).run(progress)


class _Checkup:
    def __init__(self, home: Home, found: Found, open_stores: Mapping[str, set[int]], now_ns: int | None) -> None:
        self._home = home
        self._found = found
        self._now_ns = now_ns
        self._open = open_stores
        self._states = openclaw.states_of(found.of("openclaw"))

    def run(self, progress: Callable[[int, int], None] | None) -> Checkup:
        report, gathered = examine(self._found, Question(now_ns=self._now_ns, everything=True), progress)
        self._marks = gathered.marks_of
        self._processes = gathered.processes
        self._horizon_ns = self._horizon(report)
        self._stores = tuple(stores_of(self._home.path, self._found, self._states, self._open, self._written()))
        diagnoses = sorted(self._diagnoses(report, gathered), key=urgency)
        return Checkup(
            path=self._home.path,
            why=self._home.why,
            stores=self._stores,
            horizon_ns=self._horizon_ns,
            turns=_counts(report),
            messages=self._messages(report.turns, diagnoses) if self._states else None,
            restart=self._restart(report.turns, diagnoses),
            diagnoses=tuple(diagnoses),
            rejects=report.rejects,
            rows=tuple(openclaw.rows_of(self._states.values())),
            notes=report.notes,
        )

    def _written(self) -> Iterator[str]:
        return (process.file for process in self._processes.values() if process.fate == "running")

    def _horizon(self, report: Report) -> int | None:
        """Return the time to judge contradictions by: a store in its own place is as of now, whoever wrote it."""
        here = any(state.in_place for state in self._states.values())
        return max(report.horizon_ns or 0, time.time_ns()) if here and self._now_ns is None else report.horizon_ns

    def _diagnoses(self, report: Report, gathered: Gathered) -> Iterator[Diagnosis]:
        verdicts = {verdict.turn_id: verdict for verdict in report.turns}
        drops = []
        for turn_id in (None, *verdicts):
            for finding in filter(self._is_due, gathered.findings_of(turn_id)):
                if finding.name == "silent_drop" and turn_id is not None:
                    drops.append((finding, verdicts[turn_id]))
                else:
                    yield of_finding(finding, verdicts.get(turn_id or ""), self._stores)
        pending = {one.run_id: one for state in self._states.values() for one in state.pending}
        rows = {row.key: row for row in openclaw.rows_of(self._states.values())}
        yield from dropped(drops, report.turns, rows, pending)
        yield from turns.examine(report.turns, self._marks, self._processes)
        yield from openclaw.examine(self._states.values())
        yield from codex.examine(self._found.of("codex"), self._processes)
        last = set(turns.latest(report.turns).values())
        failed = [verdict for verdict in report.turns if verdict.cause == "compaction" and verdict.turn_id in last]
        yield from threads.examine(self._sizes(), failed)
        yield from _corrupt(report.rejects)

    def _is_due(self, finding: Finding) -> bool:
        return finding.due_ns is None or (self._horizon_ns or 0) >= finding.due_ns

    def _sizes(self) -> Iterator[ThreadSize]:
        rollouts = [path for path in self._found.of("codex") if codex.is_rollout_file(path)]
        others = [
            path
            for kind in ("openclaw", "claude-code")
            for path in self._found.of(kind)
            if path.suffix == ".jsonl" and ".trajectory" not in path.name and path.stat().st_size >= _SMALL_BYTES
        ]
        for path in (*rollouts, *others):
            # What cannot be opened has been met by the source, too, and is listed.
            with suppress(OSError):
                yield measure(path)

    def _messages(self, verdicts: Sequence[Verdict], diagnoses: Iterable[Diagnosis]) -> Messages:
        lost = {message.run_id for diagnosis in diagnoses for message in diagnosis.lost}
        counts: Counter[str] = Counter()
        for verdict in verdicts:
            phases = {mark.phase for mark in self._marks(verdict.turn_id)}
            if verdict.source == "openclaw":
                counts[_fate(phases, verdict.phase, is_lost=verdict.turn_id in lost)] += 1
        return Messages(counts.total(), counts["started"], counts["queued"], counts["refused"], counts["lost"])

    def _restart(self, verdicts: Sequence[Verdict], diagnoses: Sequence[Diagnosis]) -> Standing:
        """Return whether the home's programs can be restarted now."""
        running = turns.under_way(verdicts, self._runs)
        if running:
            named = ", ".join(running[:3]) + (" and others" if len(running) > 3 else "")
            return Standing("unsafe", f"{len(running)} under way would be cut off: {named}")
        for safety in ("unsafe", "unclear"):
            for diagnosis in diagnoses:
                if diagnosis.restart.safety == safety and diagnosis.severity != "note":
                    return Standing(diagnosis.restart.safety, f"{diagnosis.code}: {diagnosis.restart.why}")
        return Standing("safe", "no turn is under way, and nothing is run again")

    def _runs(self, turn_id: str) -> bool:
        owners = {mark.process_id for mark in self._marks(turn_id)}
        return any(self._processes[owner].fate == "running" for owner in owners if owner in self._processes)


def _counts(report: Report) -> dict[str, int]:
    counts = Counter(verdict.state for verdict in report.turns)
    counts["healthy"] += report.healthy
    return {state: count for state, count in counts.items() if count}


def _fate(phases: set[str], phase: str | None, *, is_lost: bool) -> str:
    """Return what became of a message, by the phases of its turn and the one that decided on it."""
    if is_lost:
        return "lost"
    if phases <= {"accepted", "queued"} and phase == "queued":
        return "queued"
    begun = phases - {"accepted", "queued"} - {name for name in phases if _ends(name)}
    return "started" if begun or "completed" in phases else "refused"


def _ends(phase: str) -> bool:
    return PHASE[phase].lane == "turn" and PHASE[phase].terminal


def _corrupt(rejects: Iterable[Reject]) -> Iterator[Diagnosis]:
    by_file: dict[str, list[Reject]] = defaultdict(list)
    for reject in rejects:
        by_file[reject.file].append(reject)
    for file, bad in sorted(by_file.items()):
        yield diagnose(
            "CORRUPT_RECORDS",
            f"{len(bad)} record{'s' if len(bad) != 1 else ''} of {Path(file).name} cannot be read",
            [Evidence(reject.file, reject.offset, reject.reason) for reject in bad[:_MOST_REJECTS]],
            figures={"records": len(bad)},
        )
