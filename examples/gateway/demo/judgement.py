"""Asks ``analyze`` about a journal, and holds what it says against what was injected."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from examples.gateway.demo.cases import Expected
from examples.gateway.demo.fleet import ENVIRONMENT, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from examples.gateway.demo.cases import Case

_ANALYZE = "from turnscope_analyzer.cli import analyze; analyze()"
"""What the console script does, also where the project is not installed."""

_NO_STUCK_TURN, _STUCK_TURNS = 0, 3
"""Exit codes of ``analyze``; others mean that it could not do its work."""


class Wrong(NamedTuple):
    """A turn that was judged otherwise than it was injected."""

    case: str
    expected: Expected
    got: Expected | None


def analyze(journal: Path, *options: str) -> str:
    """Return what ``analyze`` prints about *journal*."""
    command = [sys.executable, "-c", _ANALYZE, *options, str(journal)]
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    if done.returncode not in {_NO_STUCK_TURN, _STUCK_TURNS}:
        raise RuntimeError(f"analyze ended with {done.returncode}")
    return done.stdout


def verdicts(report: str) -> dict[str, Expected]:
    """Return what a report in JSON says of each turn, by turn id."""
    turns: list[dict[str, Any]] = json.loads(report)["turns"]
    return {turn["turn_id"]: Expected(turn["state"], turn["cause"], turn["cancel"]) for turn in turns}


def wrong(cases: Iterable[Case], turns: Mapping[str, str], said: Mapping[str, Expected]) -> list[Wrong]:
    """Return the cases whose turn was judged otherwise, or not at all."""
    told = ((case, said.get(turns[case.name])) for case in cases)
    return [Wrong(case.name, case.expected, got) for case, got in told if got != case.expected]


def table(rows: Iterable[Wrong]) -> str:
    """Lay out what is wrong, a line a turn."""
    return "\n".join(f"  {row.case:<26} expected {_words(row.expected):<40} got {_words(row.got)}" for row in rows)


def _words(verdict: Expected | None) -> str:
    return " / ".join(str(part) for part in verdict if part) if verdict else "no verdict"
