"""The real Codex exports to `turnscope collect`: what is told of its turn from that alone, while the turn hangs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from operator import contains
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from lab.codex import PATIENCE_S, PROMPT, NothingCameError
from lab.expected import HEALTHY
from lab.scenarios import CASES
from lab.stage import BUDGETS, start, until_there
from lab.test_scenarios import verdicts
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.errors import NothingFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.expected import Answers
    from lab.home import Protocol
    from lab.scenarios import Case
    from lab.stage import Stage

pytestmark = pytest.mark.lab

_LINGER_S: Final = 12.0
"""Longer than Codex takes for its next batch of spans (10 s), and the collector to look who lives (10 s)."""


class Told(NamedTuple):
    """How a fault's Codex exports, and what must be told of its turns, the oldest first."""

    protocol: Protocol
    answers: list[Answers]


def _only(state: str, cause: str | None) -> Answers:
    return frozenset({(state, cause)})


FAULTS: Final = {
    "headers only": Told("binary", [_only("stuck", "model_stall")]),
    "refused for ever": Told("json", [_only("stuck", "transport")]),
    "manual compaction hangs": Told("grpc", [HEALTHY, _only("stuck", "compaction")]),
    "approval": Told("grpc", [_only("waiting", None)]),
}
CHOSEN: Final = [case for case in CASES if case.scenario.name in FAULTS and case.driver == "app-server"]


class Collecting(NamedTuple):
    """The command in a process of its own."""

    http: str
    grpc: str


def _found(paths: list[Path]) -> list[tuple[str, str | None]]:
    """Return what is told of each turn, the oldest first; nothing as long as nothing has come."""
    try:
        report = analyze(paths, budgets=BUDGETS, everything=True)
    except NothingFoundError:
        return []
    assert report.rejects == ()
    return [(verdict.state, verdict.cause) for verdict in verdicts(report)]


def _is_right(found: list[tuple[str, str | None]], told: Told) -> bool:
    return len(found) == len(told.answers) and all(map(contains, told.answers, found))


@contextmanager
def collecting(folder: Path) -> Iterator[Collecting]:
    program = "import sys; from turnscope_analyzer.cli import main; main(sys.argv[1:])"
    options = ["--bind", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, "collect", str(folder), *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = ""
        while "OTEL_EXPORTER_OTLP_ENDPOINT" not in said:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise NothingCameError(f"turnscope collect ended: {said}")
            said += line
        ports = re.findall(r"OTLP over \w+: (?:http://)?(127\.0\.0\.1:\d+)", said)
        yield Collecting(*(f"http://{address}" for address in ports))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_the_verdict_is_right_while_the_turn_hangs(stage: Stage, case: Case, tmp_path: Path) -> None:
    told, kept = FAULTS[case.scenario.name], tmp_path / "kept"
    with collecting(kept) as collector:
        url = collector.grpc if told.protocol == "grpc" else collector.http
        name = re.sub(r"[^\w]+", "-", f"collect-{case}")
        home, model = stage.set_up(case, name, url, told.protocol)
        codex = start(case, home)
        try:
            until_there(case, codex, model)
            for paths in ([kept], [kept, *home.to_read("rollout")]):
                give_up = time.monotonic() + PATIENCE_S
                while not (right := _is_right(found := _found(paths), told)) and time.monotonic() < give_up:
                    time.sleep(1.0)
                assert right, found
            # It stays so: neither what comes later nor the age makes another verdict of it.
            time.sleep(_LINGER_S)
            if case.scenario.name != "refused for ever":  # where each new attempt begins a wait of its own
                found = _found([kept])
                assert _is_right(found, told), found
            assert codex.alive
        finally:
            codex.close()

    content = b"".join(path.read_bytes() for path in kept.iterdir())
    assert len(content) > 10_000
    assert PROMPT.encode() not in content
