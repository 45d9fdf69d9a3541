"""What `analyze` takes for a journal of a million marks and of ten, beside what nobody can undercut.

The control is DuckDB reading five columns of the same files and doing nothing with them; the other one is what
a script would do: parse each line, keep the last phase of each turn. The clock runs inside a fresh process,
after the imports.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.generate import ready_journal
from bench.measure import DATA, Figures, in_child, interleaved, middle, peak_rss_bytes, ratio
from bench.table import Row, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.generate import Mix

MIB = 1 << 20
COLUMNS = "{turn: 'VARCHAR', lane: 'VARCHAR', phase: 'VARCHAR', t: 'BIGINT', seq: 'BIGINT'}"
SCAN = f"""
SELECT count(turn), count(lane), count(phase), max(t), max(seq)
FROM read_json(?, columns = {COLUMNS}, format = 'newline_delimited', ignore_errors = true)
"""


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Run *work* and return its wall and processor time, and the process's peak memory."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "rss_mib": peak_rss_bytes() / MIB,
    }


def segments(journal: str) -> list[str]:
    """Return the segments of *journal*."""
    return sorted(map(str, Path(journal).glob("*.jsonl")))


def scan(*, journal: str) -> Figures:
    """Let DuckDB read five columns."""
    duckdb = importlib.import_module("duckdb")
    connection = duckdb.connect()
    return timed(lambda: connection.execute(SCAN, [segments(journal)]).fetchall())


def loop(*, journal: str) -> Figures:
    """Parse each line in Python and keep the last phase of each turn."""

    def work() -> None:
        last: dict[str, tuple[int, str]] = {}
        for path in segments(journal):
            with Path(path).open("rb") as file:
                for line in file:
                    if line[:1] != b"{":
                        break
                    mark = orjson.loads(line)
                    turn = mark.get("turn")
                    if turn is not None and (turn not in last or mark["seq"] > last[turn][0]):
                        last[turn] = (mark["seq"], mark["phase"])

    return timed(work)


def verdicts(*, journal: str, detailed: int | None = None) -> Figures:
    """Let the analyzer judge every turn, and count the verdicts that are not the ones that are due."""
    analyze = importlib.import_module("turnscope_analyzer.analyze").analyze
    importlib.import_module("duckdb")
    reports: list[Any] = []
    figures = timed(lambda: reports.append(analyze([Path(journal)], detailed=detailed)))
    return {**figures, "wrong": wrong(reports[0], orjson.loads((Path(journal) / "manifest.json").read_bytes()))}


def wrong(report: Any, due: Mapping[str, Any]) -> int:
    """Return by how many turns the counts of states and of causes differ from what is due, and how many rejects."""
    states = Counter(verdict.state for verdict in report.turns)
    states["healthy"] += report.healthy
    causes = Counter(verdict.cause for verdict in report.turns if verdict.cause)
    for (state, cause), turns in report.unlisted.items():
        states[state] += turns
        if cause:
            causes[cause] += turns
    return _difference(states, due["states"]) + _difference(causes, due["causes"]) + len(report.rejects)


def _difference(found: Mapping[str, int], due: Mapping[str, int]) -> int:
    return sum(abs(found.get(name, 0) - due.get(name, 0)) for name in {*found, *due})


def page(*, journal: str) -> Figures:
    """Let the analyzer judge every turn, and explain those that the terminal shows."""
    return verdicts(journal=journal, detailed=20)


CANDIDATES: dict[str, Callable[..., Figures]] = {
    "scan": scan,
    "loop": loop,
    "all": verdicts,
    "cold": page,
    "again": page,
}
NAMES = {
    "scan": "DuckDB scan of 5 columns",
    "loop": "orjson loop, last phase of each turn",
    "all": "analyze, first time, every turn explained",
    "cold": "analyze, first time",
    "again": "analyze, again",
}
FIRST = frozenset({"all", "cold"})
"""Candidates that find no cache."""


def run(*, quick: bool) -> list[Row]:
    """Measure a million marks of short turns and of long ones, then ten million, and how the cost has grown."""
    million = measured(DATA / "1m", 1_000_000, rounds=3 if quick else 9)
    rows = rows_of("1 M", million, COLD_TARGETS)
    if quick:
        return rows
    rows += rows_of(
        "1 M, long turns", measured(DATA / "1m-agentic", 1_000_000, mix="agentic", rounds=3), VERDICTS_TARGET
    )
    ten = measured(DATA / "10m", 10_000_000, rounds=3)
    rows += rows_of("10 M", ten, {"rss_mib": Target("figure", 512), **VERDICTS_TARGET})
    if "cold" in ten and "cold" in million:
        rows += [growth(figure, what, ten["cold"], million["cold"]) for figure, what in TIMES.items()]
    return rows


TIMES = {"wall_s": "wall", "cpu_s": "cpu"}
VERDICTS_TARGET = {"wrong": Target("figure", 0)}
COLD_TARGETS = {
    "wall_s": Target("ratio", 1.5),
    "cpu_s": Target("ratio", 1.5),
    "rss_mib": Target("figure", 250),
    "again_s": Target("figure", 0.15),
    **VERDICTS_TARGET,
}
"""What the first analysis of a million marks may take of the scan of the same round, and the next one in seconds."""


def measured(folder: Path, marks: int, *, rounds: int, mix: Mix = "chat") -> dict[str, list[Figures]]:
    """Measure every candidate on the journal in *folder*, which is made first if it is not there."""
    journal = str(ready_journal(folder, marks, mix))
    with tempfile.TemporaryDirectory(dir=DATA) as kept:
        cache = f"{kept}/cache"

        def once(name: str) -> Figures:
            if name in FIRST:
                shutil.rmtree(cache, ignore_errors=True)
            return in_child("analyze", name, journal=journal, environment={"XDG_CACHE_HOME": cache})

        return interleaved(NAMES, rounds, once)


def rows_of(size: str, taken: Mapping[str, Sequence[Figures]], targets: Mapping[str, Target]) -> list[Row]:
    """Return the rows of one size: times as ratios to the scan, then memory and the verdicts."""
    rows = [
        Row(
            what=f"{size}, {what}: {NAMES[name]}",
            figure=middle(figures, figure),
            unit="s",
            ratio=ratio(figures, taken["scan"], figure),
            against="scan",
            target=time_target(name, figure, targets),
        )
        for figure, what in TIMES.items()
        for name, figures in taken.items()
    ]
    rows += [
        Row(
            what=f"{size}, peak memory: {NAMES[name]}",
            figure=max(one["rss_mib"] for one in figures),
            unit="MiB",
            target=targets.get("rss_mib") if name == "cold" else None,
        )
        for name, figures in taken.items()
    ]
    if "cold" in taken:
        wrongs = max(one["wrong"] for one in (*taken["cold"], *taken.get("again", ())))
        rows.append(Row(f"{size}, judged wrong", wrongs, "turns", target=targets["wrong"]))
    return rows


def time_target(name: str, figure: str, targets: Mapping[str, Target]) -> Target | None:
    """Return the target of one time, None where there is none."""
    if name == "again":
        return targets.get("again_s") if figure == "wall_s" else None
    return targets.get(figure) if name == "cold" else None


def growth(figure: str, what: str, ten: Sequence[Figures], one: Sequence[Figures]) -> Row:
    """Return how many times the cost of a million marks ten millions take.

    Minutes lie between the two, so only processor time, which busy neighbours stretch little, has a target.
    """
    large, small = middle(ten, figure), middle(one, figure)
    target = Target("ratio", 12) if figure == "cpu_s" else None
    return Row(f"10 M against 1 M, {what}: analyze, first time", large, "s", large / small, "1 M", target)
