"""Judgements that still hold are kept, so that the next analysis judges only the turns of which something changed.

A verdict rests on the turn's marks, on what is known of its processes, and on the limits. Each file at rest has a stamp
that stands for its content, for its process and for the limits that were set; a turn's stamp is their sum. What is left
are the limits that follow from this user's other turns: where these have moved, nothing that was kept is believed.
"""

from __future__ import annotations

import functools
import importlib.resources
import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import duckdb

from turnscope.attributes import ERROR_KINDS
from turnscope.phases import PHASES
from turnscope_analyzer.cache import export, number_of
from turnscope_analyzer.classify import Facts, Judgement
from turnscope_analyzer.engine import names, statement
from turnscope_analyzer.rules import RULE
from turnscope_analyzer.versions import own_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from turnscope.phases import Cause, State
    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.model import Process
    from turnscope_analyzer.sources.processes import JournalProcess
    from turnscope_analyzer.tables import Limits

_USUAL: Final = """
SELECT usual.phase, usual.p99_ns
FROM usual
INNER JOIN vocabulary AS word ON usual.phase = word.phase
WHERE usual.p99_ns > word.slow_after_ns OR usual.p99_ns * 3 > word.stuck_after_ns
ORDER BY usual.phase
"""
"""The waits of this user that make a limit longer."""

_HELD: Final = f"""
SELECT {", ".join(Facts._fields)}, rule, confidence
FROM settled
WHERE ($1 IS NULL OR list_contains($1, session_id))
    AND ($2 IS NULL OR turn_id IN (
        SELECT turn_id
        FROM settled
        QUALIFY row_number() OVER (PARTITION BY state ORDER BY coalesce(age_ns, 0) DESC, turn_id) <= $2
    ))
"""
"""Judgements that are kept: of some sessions, or the first of each state."""


class SettledTurns:
    """The judgements that are kept of the turns in one analysis. Nothing here ever fails an analysis."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / "settled.parquet" if folder is not None else None
        self._usual_key: int | None = None

    def load(self, engine: Engine) -> None:
        """Fill ``settled`` with what is kept and still holds for the turns in ``stamps``."""
        if self._path is None or not self._path.is_file():
            return
        try:
            engine.set("settled_file", str(self._path))
            engine.append("settled", "adapters/duckdb_settled")
            engine.append("settled_waits", "adapters/duckdb_settled_waits")
            found = engine.rows("SELECT max(usual_key) FROM read_parquet(getvariable('settled_file'))")
            self._usual_key = found[0][0]
            os.utime(self._path)
        except (duckdb.Error, OSError):
            self.drop(engine)

    def drop(self, engine: Engine) -> bool:
        """Forget all that was kept; tell whether there was any."""
        gone = engine.rows("DELETE FROM settled")[0][0]
        engine.clear("settled_waits")
        return bool(gone)

    def hold(self, engine: Engine) -> bool:
        """Tell whether the usual waits of today are those that the kept judgements were made by."""
        usual_key = number_of(repr(engine.rows(_USUAL)), 63)
        held = usual_key == self._usual_key
        self._usual_key = usual_key
        return held

    def counts(self, engine: Engine) -> Counter[tuple[State, Cause | None]]:
        """Count the turns whose judgements still hold by state and cause."""
        counts: Counter[tuple[State, Cause | None]] = Counter()
        for state, rule, turns in engine.rows("SELECT state, rule, count(*) FROM settled GROUP BY state, rule"):
            counts[state, RULE[rule].cause] += turns
        return counts

    def judgements(
        self,
        engine: Engine,
        processes: Mapping[str, Process],
        *,
        first: int | None = None,
        sessions: Iterable[str | None] | None = None,
    ) -> list[Judgement]:
        """Return judgements that still hold, as of the horizon of today.

        Args:
            engine: The engine that they were loaded into.
            processes: The processes by their ids.
            first: Only so many of each state, the longest wait first.
            sessions: Only those of these sessions.
        """
        of = None if sessions is None else [session for session in sessions if session is not None]
        found = []
        for *values, rule, confidence in engine.rows(_HELD, [of, first]):
            facts = Facts._make(values)
            facts = facts._replace(horizon_ns=processes[facts.process_id].horizon_ns)
            found.append(Judgement(facts, RULE[rule], confidence))
        return found

    def keep(self, engine: Engine, judgements: Iterable[Judgement], processes: Mapping[str, Process]) -> None:
        """Keep those of *judgements*, which are new, that do not change by themselves.

        Judgements on turns of none of *processes* may be among them; they are of another source, and are not kept.
        """
        final = [
            {"turn_id": judgement.facts.turn_id, "rule": judgement.rule.name, "confidence": judgement.confidence}
            for judgement in judgements
            if (process := processes.get(judgement.facts.process_id)) and _is_final(judgement.facts, process)
        ]
        if self._path is None or not final:
            return
        engine.load("rulings", final)
        with suppress(duckdb.Error, OSError):
            if engine.append("settled", "adapters/duckdb_settle"):
                engine.append("settled_waits", "adapters/duckdb_settle_waits")
                engine.set("usual_key", self._usual_key)
                self._path.parent.mkdir(parents=True, exist_ok=True)
                export(engine, "adapters/duckdb_keep_settled", self._path)


def stamp_of(key: int, known: JournalProcess, process: Process, asked: Mapping[str, Limits]) -> int:
    """Return the stamp of a file at rest with this *key*: 48 bits for all that the verdicts on its turns rest on.

    The horizon of a process that runs moves on, and its slots change: of its turns only those are kept for which
    neither matters.
    """
    lasting = (process.fate, sorted(process.budgets.items()), process.gaps, sorted(asked.items()))
    passing = () if process.fate == "running" else (process.horizon_ns, known.slots())
    return number_of(repr((key, lasting, passing, _rules_key())), 48)


def _is_final(facts: Facts, process: Process) -> bool:
    """Tell whether nothing but what a stamp stands for could change the judgement."""
    return process.fate != "running" or (facts.ended_phase is not None and facts.attached is None)


@functools.cache
def _rules_key() -> int:
    """Return what stands for all that makes a judgement of marks."""
    sql = [statement(name) for folder in ("core", "causes", "adapters") for name in names(folder)]
    code = (importlib.resources.files("turnscope_analyzer") / "classify.py").read_text(encoding="utf-8")
    return number_of(repr((own_version(), code, sql, PHASES, ERROR_KINDS, sorted(RULE.items()))), 63)
