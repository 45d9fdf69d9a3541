"""The engine under the statements: bounded in memory, and in nobody's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from turnscope_analyzer import engine as module
from turnscope_analyzer.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

# A window over all rows cannot spill; this one needs some 30 MiB.
HUNGRY = "SELECT max(place) FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS place FROM range(500000) AS r (i))"


def test_a_statement_that_needs_more_memory_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_MIB", 4)

    with Engine() as engine:
        assert engine.rows(HUNGRY) == [(500_000,)]


def test_half_of_the_machine_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_MIB", 4)
    monkeypatch.setattr(module, "_physical_mib", lambda: 15)

    with Engine() as engine, pytest.raises(duckdb.OutOfMemoryException):
        engine.rows(HUNGRY)


def test_nothing_is_left_behind() -> None:
    with Engine() as engine:
        folder: Path = engine.folder
        engine.load("clocks", [{"process_id": "it's", "wall_minus_mono_ns": 1}])

        assert engine.rows("SELECT * FROM clocks") == [("it's", 1)]

    assert not folder.exists()
