"""The SQL means the same on ClickHouse: the same statements, the same marks, the same facts and verdicts.

Skipped where chdb, ClickHouse as a library, is not installed: it is 174 MB and not among the test dependencies. To
run it, ``pip install chdb`` and ``pytest tests/test_portable.py``; `SETTINGS` is what a ClickHouse has to be told.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import pytest

from test_causes import CASES, FAILURES
from turnscope.attributes import ERROR_KINDS
from turnscope.phases import CANCEL_RESULTS, LANE, PHASES
from turnscope_analyzer.classify import classify
from turnscope_analyzer.engine import Engine, names, statement
from verdict_kit import MS, M, fill, process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from turnscope_analyzer.classify import Judgement
    from turnscope_analyzer.model import Fate, Process

session = pytest.importorskip("chdb.session", reason="needs chdb, which is ClickHouse as a library: pip install chdb")

SETTINGS: Final = {
    "data_type_default_nullable": 1,  # what is missing is NULL, not 0 or ''
    "join_use_nulls": 1,  # so is a row that a LEFT JOIN does not find
    "cast_keep_nullable": 1,
    "default_table_engine": "'Memory'",
    "output_format_json_quote_64bit_integers": 0,
}
"""What makes ClickHouse keep to the standard where the statements rely on it; the last two are the test's own."""

RANDOM_TURNS: Final = 400
HORIZON_MS: Final = 1_000_000


class ClickHouse:
    """The engine's part that the statements need, on ClickHouse."""

    def __init__(self, query: Callable[..., Any]) -> None:
        self._query = query
        for table in names("tables"):
            query(f"DROP TABLE IF EXISTS {table.removeprefix('tables/')}")
            query(statement(table))

    def load(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        lines = b"\n".join(orjson.dumps(row) for row in rows)
        if lines:
            self._query(f"INSERT INTO {table} SETTINGS input_format_skip_unknown_fields = 1 "
                        f"FORMAT JSONEachRow {lines.decode()}")  # fmt: skip

    def build(self, *statements: str) -> None:
        for name in statements:
            table = name.partition("/")[2].partition("_")[2]
            self._query(f"DROP TABLE IF EXISTS {table}")
            self._query(f"CREATE TABLE {table} AS {statement(name)}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._answer(sql)["data"]]

    def _answer(self, sql: str) -> dict[str, Any]:
        return cast("dict[str, Any]", orjson.loads(self._query(sql, "JSONCompact").bytes()))


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[Callable[..., Any]]:
    with session.Session() as opened:
        for name, value in SETTINGS.items():
            opened.query(f"SET {name} = {value}")
        yield opened.query


def told(judgements: Iterable[Judgement]) -> dict[str, dict[str, object]]:
    """Return all that is known of each turn, by its id."""
    return {j.facts.turn_id: {**j.facts._asdict(), "rule": j.rule.name, "confidence": j.confidence} for j in judgements}


def both(
    query: Callable[..., Any], marks: Sequence[M], processes: Sequence[Process], plain: int = 0
) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, object]]]:
    """Judge *marks* on both engines."""
    other = cast("Engine", ClickHouse(query))
    fill(other, marks, processes, plain=plain)
    with Engine() as engine:
        fill(engine, marks, processes, plain=plain)
        return told(classify(engine)), told(classify(other))


def cases() -> Iterator[tuple[tuple[M, ...], Process]]:
    """Yield the marks of one turn and its process, for each case of each cause."""
    for case in CASES:
        begin = case.marks[-1].ms
        yield case.marks, process(now_ms=case.limit_ms)
        yield case.marks, process(now_ms=case.limit_ms - 1)
        yield case.marks, process(now_ms=case.limit_ms, frozen_ms=[(begin + 1000, begin + 2000)])
        yield case.marks, process(now_ms=case.limit_ms, fate="killed")
        yield case.marks, process(now_ms=case.limit_ms, requests=False)
        yield (*case.marks, *case.after), process(now_ms=10_000_000)
    for _, marks in FAILURES:
        yield (*marks, M("turn", "failed", 600)), process(now_ms=1000)


def test_clickhouse_gives_the_same_verdict_in_each_case_of_each_cause(clickhouse: Callable[..., Any]) -> None:
    marks, processes = [], []
    for number, (case, known) in enumerate(cases()):
        marks += [mark._replace(turn=f"t{number}", process=f"p{number}") for mark in case]
        processes.append(_named(known, f"p{number}"))

    duckdb, other = both(clickhouse, marks, processes)

    assert len(duckdb) == len(processes)
    assert other == duckdb


@pytest.mark.parametrize("seed", range(3))
def test_clickhouse_gives_the_same_verdict_for_any_marks(clickhouse: Callable[..., Any], seed: int) -> None:
    rng = random.Random(seed)
    processes = [_any_process(rng, f"p{number}") for number in range(24)]
    marks = [mark for number in range(RANDOM_TURNS) for mark in _any_turn(rng, f"t{number}")]

    duckdb, other = both(clickhouse, marks, processes, plain=rng.choice([0, 100, 2000]))

    assert len({facts["rule"] for facts in duckdb.values()}) > 20
    assert other == duckdb


def _named(known: Process, process_id: str) -> Process:
    return type(known)(**{**{name: getattr(known, name) for name in known.__slots__}, "process_id": process_id})


def _any_process(rng: random.Random, process_id: str) -> Process:
    fates: list[Fate] = ["running", "running", "ended", "killed", "unknown"]
    begin = rng.randrange(HORIZON_MS)
    return process(
        process_id,
        fate=rng.choice(fates),
        now_ms=HORIZON_MS + rng.randrange(3_000_000),
        requests=rng.random() < 0.8,
        ends=rng.random() < 0.9,
        frozen_ms=[(begin, begin + rng.randrange(1, 100_000))] if rng.random() < 0.5 else [],
    )


def _any_turn(rng: random.Random, turn: str) -> Iterator[M]:
    """Yield marks that make more sense than none: most turns begin, and some end."""
    home = f"p{rng.randrange(24)}"
    at_ms = rng.randrange(1000)
    yield M("turn", "accepted", at_ms, {}, turn, home)
    for _ in range(rng.randrange(12)):
        phase = rng.choice([phase for phase in PHASES if phase.name != "accepted" and phase.lane != "continuation"])
        lane = f"{phase.lane}:{rng.choice('ab')}" if LANE[phase.lane].many else phase.lane
        at_ms += rng.choice([0, 3, 700, 90_000, 400_000])
        yield M(lane, phase.name, at_ms, _any_attrs(rng, at_ms), turn, rng.choice([home, home, home, "p0"]))
    if rng.random() < 0.4:
        yield M("turn", rng.choice(["completed", "completed", "failed"]), at_ms + rng.randrange(9000), {}, turn, home)


def _any_attrs(rng: random.Random, at_ms: int) -> dict[str, object]:
    offers: dict[str, object] = {
        "error_type": rng.choice(ERROR_KINDS).name,
        "purpose": rng.choice(["turn", "compaction"]),
        "step": rng.randrange(1, 4),
        "attempt": rng.randrange(1, 4),
        "result": rng.choice(CANCEL_RESULTS),
        "cursor": rng.randrange(9),
        "chunks": rng.randrange(3),
        "progress_at": (at_ms - rng.randrange(500_000)) * MS,
        "max_gap": rng.randrange(400_000) * MS,
        "resumed": rng.random() < 0.5,
        "recovered": rng.random() < 0.5,
        "live_chunks": rng.randrange(3),
        "live_progress_at": (at_ms + rng.randrange(500_000)) * MS,
        "live_keepalives": rng.randrange(3),
        "live_cursor": rng.randrange(9),
    }
    return {name: value for name, value in offers.items() if rng.random() < 0.15}
