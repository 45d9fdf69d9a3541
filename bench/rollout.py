"""What `analyze` takes for a Codex home: one thread of 611 MB, most of it images, or a thousand of the usual size.

Beside it what nobody can undercut (counting lines) and what a script would do: parse every line. Each candidate
runs in a process of its own on files that are in the page cache; its clock runs after the imports, but for the
command, which is measured as a user has it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.analyze import timed
from bench.measure import DATA, Figures, in_child, interleaved, middle, ratio
from bench.table import Row, Target
from bench.threads import large_thread, many_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONTROL = "lines"
COMMAND = "import sys; sys.argv[0] = 'analyze'; from turnscope_analyzer.cli import analyze; analyze()"
RECORD_BYTES = 64 << 20
"""The longest record that DuckDB is asked to hold; its own limit is below that of the large thread."""


def rollouts(home: str) -> list[str]:
    """Return the rollouts in *home*."""
    return sorted(map(str, Path(home).rglob("*.jsonl")))


def program(*command: str) -> Figures:
    """Run a program and return its wall and processor time and its peak memory."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        # Not /dev/null: grep would stop at the first line that matches.
        assert process.stdout
        process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began
    if process.returncode not in (0, 3):
        raise subprocess.CalledProcessError(process.returncode, command[0])
    return {"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "rss_mib": used.ru_maxrss / 1024}


def lines(*, home: str, turns: int) -> Figures:
    """Count the lines."""
    del turns
    return program("wc", "-l", *rollouts(home))


def grep(*, home: str, turns: int) -> Figures:
    """Count the lines that start a turn."""
    del turns
    return program("grep", "-c", '"type":"task_started"', *rollouts(home))


def command(*, home: str, turns: int) -> Figures:
    """Run the command on the home, from the start of the interpreter on."""
    del turns
    return program(sys.executable, "-c", COMMAND, home)


def parse_all(parse: Callable[[bytes], Any], home: str) -> Figures:
    """Parse every line, and keep the last record of each turn as a script would."""

    def work() -> None:
        last: dict[str, str] = {}
        for path in rollouts(home):
            turn = ""
            with Path(path).open("rb") as file:
                for line in file:
                    record = parse(line)
                    turn = record["payload"].get("turn_id", turn)
                    last[turn] = record["timestamp"]

    return timed(work)


def with_json(*, home: str, turns: int) -> Figures:
    """Parse every line with the standard library."""
    del turns
    return parse_all(json.loads, home)


def with_orjson(*, home: str, turns: int) -> Figures:
    """Parse every line with orjson."""
    del turns
    return parse_all(orjson.loads, home)


def with_duckdb(*, home: str, turns: int) -> Figures:
    """Let DuckDB count the records by kind, each parsed and none materialised."""
    del turns
    duckdb = importlib.import_module("duckdb")
    connection = duckdb.connect()
    sql = f"""
    SELECT type, payload.type, count(*) FROM read_json(
        ?, columns = {{timestamp: 'VARCHAR', type: 'VARCHAR', payload: 'STRUCT(type VARCHAR, turn_id VARCHAR)'}},
        format = 'newline_delimited', ignore_errors = true, maximum_object_size = {RECORD_BYTES}
    ) GROUP BY ALL"""
    return timed(lambda: connection.execute(sql, [rollouts(home)]).fetchall())


def judged(*, home: str, turns: int) -> Figures:
    """Let the analyzer judge every turn, and count by how many the good ends differ from what is due."""
    analyze = importlib.import_module("turnscope_analyzer.analyze").analyze
    importlib.import_module("duckdb")
    reports: list[Any] = []
    figures = timed(lambda: reports.append(analyze([Path(home)], detailed=20)))
    report = reports[0]
    well = report.healthy + sum(verdict.state == "healthy" for verdict in report.turns)
    wrong = abs(well - (turns - len(rollouts(home)))) + abs(len(report.turns) - turns) + len(report.rejects)
    return {**figures, "wrong": wrong}


CANDIDATES: dict[str, Callable[..., Figures]] = {
    "lines": lines,
    "judged": judged,
    "command": command,
    "grep": grep,
    "orjson": with_orjson,
    "json": with_json,
    "duckdb": with_duckdb,
}
NAMES: Mapping[str, str] = {
    "lines": "wc -l",
    "judged": "analyze",
    "command": "analyze, as a command",
    "grep": "grep -c task_started",
    "orjson": "orjson loop, last record of each turn",
    "json": "json loop, last record of each turn",
    "duckdb": "DuckDB read_json, records by kind",
}

FLOORS = frozenset({"lines", "grep"})
"""Candidates of which the memory says nothing: they hold one buffer, less than the process that starts them."""


def run(*, quick: bool) -> list[Row]:
    """Measure the large thread and the thousand in folders that are taken away again."""
    DATA.mkdir(exist_ok=True)
    rows = []
    rounds = 3 if quick else 5
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        turns = large_thread(Path(folder))
        rows += rows_of("611 MB", folder, turns, rounds, LARGE_TARGETS)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        turns = many_threads(Path(folder))
        rows += rows_of("1 000 rollouts", folder, turns, rounds, MANY_TARGETS)
    return rows


LARGE_TARGETS = {"wall_s": Target("figure", 0.611), "rss_mib": Target("figure", 100)}
"""A gigabyte a second, after the imports; the memory is that of the whole command."""

MANY_TARGETS = {"wall_s": Target("figure", 5)}


def rows_of(size: str, home: str, turns: int, rounds: int, targets: Mapping[str, Target]) -> list[Row]:
    """Measure every candidate on *home* and return the rows: times, memory, verdicts."""
    taken = interleaved(NAMES, rounds, lambda name: in_child("rollout", name, home=home, turns=turns))
    n_bytes = sum(Path(path).stat().st_size for path in rollouts(home))
    rows = [time_row(size, name, taken, n_bytes, targets) for name in taken]
    rows += [
        Row(
            what=f"{size}, peak memory: {NAMES[name]}",
            figure=max(one["rss_mib"] for one in figures),
            unit="MiB",
            target=targets.get("rss_mib") if name == "command" else None,
        )
        for name, figures in taken.items()
        if name not in FLOORS
    ]
    if "judged" in taken:
        wrong = max(one["wrong"] for one in taken["judged"])
        rows.append(Row(f"{size}, judged wrong", wrong, "turns", target=Target("figure", 0)))
    return rows


def time_row(
    size: str, name: str, taken: Mapping[str, Sequence[Figures]], n_bytes: int, targets: Mapping[str, Target]
) -> Row:
    """Return the row of one candidate's time, with the speed beside it."""
    wall_s = middle(taken[name], "wall_s")
    return Row(
        what=f"{size}, wall: {NAMES[name]}",
        figure=wall_s,
        unit="s",
        ratio=ratio(taken[name], taken[CONTROL], "wall_s"),
        against=NAMES[CONTROL],
        target=targets.get("wall_s") if name == "judged" else None,
        beside={"MB/s": n_bytes / wall_s / 1e6, "cpu": middle(taken[name], "cpu_s")},
    )
