"""What holds the SQL files together: their headers, their names, their words, and the dialect that they keep to."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path
from typing import Final, get_args

import duckdb
import pytest
from sqlglot import exp

import turnscope_analyzer
from sql_kit import (
    ADAPTERS,
    CAUSES,
    CORE,
    TABLES,
    Column,
    literals,
    portable,
    promised_columns,
    promised_reads,
    reads,
    returned_columns,
    schema,
    table_of,
    tree,
)
from turnscope import phases
from turnscope.attributes import ATTRIBUTES, ERROR_KINDS
from turnscope_analyzer.engine import Engine, statement
from turnscope_analyzer.model import Fate
from turnscope_analyzer.rules import RULES, Rule

PYTHON: Final = {path: path.read_text("utf-8") for path in Path(turnscope_analyzer.__file__).parent.rglob("*.py")}
NAME: Final = re.compile(r"(?:tables|core|causes|adapters)/\w+")

every = pytest.mark.parametrize("name", [*TABLES, *CORE, *CAUSES, *ADAPTERS])


def asked_for() -> set[str]:
    """Return the statements that the code names."""
    strings = (
        node.value
        for text in PYTHON.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {found for found in strings if NAME.fullmatch(found)}


# --- headers ---


@portable
def test_the_header_lists_the_columns_that_the_statement_returns(name: str) -> None:
    assert promised_columns(name) == returned_columns(name)


@portable
def test_the_header_lists_the_tables_and_columns_that_the_statement_reads(name: str) -> None:
    assert promised_reads(name) == reads(name)


@pytest.mark.parametrize("name", ["adapters/duckdb_journal", "adapters/duckdb_strides"])
def test_the_scan_of_a_journal_has_the_columns_of_its_header(name: str) -> None:
    assert promised_columns(name) == returned_columns(name)


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_header_of_an_adapter_names_the_tables_that_it_reads(name: str) -> None:
    defined = {cte.alias for cte in tree(name).find_all(exp.CTE)}
    tables = {table.name for table in tree(name).find_all(exp.Table) if isinstance(table.this, exp.Identifier)}

    assert set(promised_reads(name)) == tables - defined


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_columns_that_the_header_of_an_adapter_names_exist(name: str) -> None:
    for table, columns in promised_reads(name).items():
        assert columns <= {*schema()[table], "*"}


@every
def test_the_header_begins_with_what_the_file_makes(name: str) -> None:
    makes = statement(name).partition(":")[0]

    assert makes == f"-- {table_of(name)}" if name not in ADAPTERS else makes.startswith("-- ")


def test_the_statement_of_glance_parts_fills_its_table() -> None:
    columns = schema()["glance_parts"]

    assert returned_columns("core/10_glance_parts") == [Column(*column) for column in columns.items()]


# --- files and names ---


@every
def test_a_file_holds_one_statement(name: str) -> None:
    assert len(duckdb.extract_statements(statement(name))) == 1


def test_each_name_that_the_code_asks_for_is_a_file() -> None:
    assert asked_for() - {*TABLES, *CORE, *CAUSES, *ADAPTERS} == set()


def test_each_adapter_is_asked_for() -> None:
    assert set(ADAPTERS) - asked_for() == set()


@pytest.mark.parametrize("name", [*TABLES, *CORE])
def test_what_a_file_makes_is_read_by_something(name: str) -> None:
    in_sql = (table for other in (*CORE, *CAUSES, *ADAPTERS) for table in promised_reads(other))
    in_python = re.findall(r"(?:FROM|JOIN) (\w+)", "\n".join(PYTHON.values()))

    assert table_of(name) in {*in_sql, *in_python}


READ_BY_CODE = {
    "core/10_glance_parts",
    "core/12_stamps",
    "core/13_windows",
    "core/15_paces",
    "core/32_worst",
    "core/60_facts",
}


@pytest.mark.parametrize("name", sorted({*CORE} - READ_BY_CODE))
def test_each_column_of_a_core_statement_is_read_by_another(name: str) -> None:
    read = {column for other in (*CORE, *CAUSES, *ADAPTERS) for column in promised_reads(other).get(table_of(name), ())}

    assert {column.name for column in promised_columns(name)} <= read


def test_each_cause_has_one_file() -> None:
    assert sorted(map(table_of, CAUSES)) == sorted(phases.CAUSES)


# --- words ---

WORDS: Final = {
    "phase": {phase.name for phase in phases.PHASES},
    "lane_kind": set(get_args(phases.LaneKind)),
    "lane": set(get_args(phases.LaneKind)),
    "state": set(phases.STATES),
    "cause": set(phases.CAUSES),
    "rule": {rule.name for rule in RULES},
    "confidence": set(get_args(phases.Confidence)),
    "error_type": {kind.name for kind in ERROR_KINDS},
    "purpose": set(get_args(phases.Purpose)),
    "cancel": set(phases.CANCEL_RESULTS),
    "reported": set(phases.CANCEL_RESULTS),
    "result": set(phases.CANCEL_RESULTS),
    "fate": set(get_args(Fate)),
    "basis": {"wait", "gap", "failure", "view", "end"},
    "note": {"journal", "carried", "gap", "step", "end"},
}
"""What may stand in a column, by the end of its name."""


@portable
def test_each_word_in_the_sql_is_one_of_the_vocabulary(name: str) -> None:
    for column, word in literals(name):
        kind = next(kind for kind in WORDS if column == kind or column.endswith(f"_{kind}"))
        assert word in WORDS[kind], f"{column} {word}"


@portable
def test_no_word_in_the_sql_escapes_that_test(name: str) -> None:
    words = [node.name for node in tree(name).find_all(exp.Literal) if node.is_string]

    assert sorted(words) == sorted(word for _, word in literals(name))


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_gives_its_own_rules(name: str) -> None:
    rules = {word for column, word in literals(name) if column == "rule"}

    assert rules
    assert {rule.partition(".")[0] for rule in rules} == {table_of(name)}


def test_each_rule_is_given_by_a_cause_or_to_a_turn_without_one() -> None:
    by_causes = {word for name in CAUSES for column, word in literals(name) if column == "rule"}
    otherwise = {rule.name for rule in RULES if rule.cause is None}

    assert by_causes | otherwise == {rule.name for rule in RULES}
    assert all(f'"{rule}"' in PYTHON[Path(turnscope_analyzer.__file__).parent / "classify.py"] for rule in otherwise)


def fields_of_explain() -> set[str]:
    """Return the names that explain.py fills in a rule's sentence."""
    text = PYTHON[Path(turnscope_analyzer.__file__).parent / "explain.py"]
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    (call,) = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "format")
    return {keyword.arg for keyword in call.keywords if keyword.arg}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_sentence_of_a_rule_asks_for_what_explain_gives(rule: Rule) -> None:
    asked = {field for _, field, _, _ in string.Formatter().parse(rule.sentence) if field is not None}

    assert asked <= fields_of_explain()


# --- attributes ---

BASE: Final = ("turn_id", "session_id", "lane", "lane_kind", "phase", "at_ns", "seq", "process_id")


def attribute_columns() -> dict[str, str]:
    columns = schema()["marks"].items()
    return {name: kind for name, kind in columns if name not in BASE and not name.startswith("live_")}


def test_the_attributes_of_marks_have_the_types_of_the_vocabulary() -> None:
    known = {attribute.name: attribute.sql_type for attribute in ATTRIBUTES}

    assert attribute_columns() == {name: known.get(name) for name in attribute_columns()}


def test_the_adapter_reads_those_attributes() -> None:
    struct = re.search(r"STRUCT\(([^)]*)\)", statement("adapters/duckdb_marks"))

    assert struct is not None
    assert dict(pair.split() for pair in struct[1].split(",")) == attribute_columns()


def test_the_adapter_gives_the_columns_of_marks() -> None:
    assert dict(returned_columns("adapters/duckdb_marks")) == schema()["marks"]


def test_kept_glances_come_back_as_they_were(tmp_path: Path) -> None:
    rest = dict.fromkeys(list(schema()["glance_parts"])[2:], 1)
    went_on, plain = ({"file": "a", "turn_id": turn_id, **rest} for turn_id in ("t1", "t2"))
    with Engine() as engine:
        engine.load("capture", [{"plain_below_ns": 60}])
        engine.load("glance_parts", [went_on, plain])
        engine.load("segment_keys", [{"file": "a", "key": 7}])
        engine.rows("CREATE TABLE glance AS SELECT turn_id, turn_id = 't2' AS plain, TRUE AS alone FROM glance_parts")
        engine.set("kept_files", ["a"])
        engine.export("adapters/duckdb_keep", tmp_path / "kept.parquet")
        engine.clear("glance_parts")
        for name, value in (
            ("glance_files", [str(tmp_path / "kept.parquet")]),
            ("plain_below_ns", 60),
            ("closely", "t"),
        ):
            engine.set(name, value)
        engine.view("kept_parts", "adapters/duckdb_kept")

        engine.append("calm", "adapters/duckdb_calm")
        engine.append("glance_parts", "adapters/duckdb_restless")
        engine.append("glance_parts", "adapters/duckdb_woken")

        assert engine.rows("SELECT * FROM calm") == [("a", 1, 1, 1)]
        assert engine.rows("SELECT * FROM glance_parts") == [tuple(went_on.values()), tuple(plain.values())]


def test_the_table_of_settled_judgements_has_the_columns_of_facts_and_the_rule() -> None:
    rule = {"rule": "VARCHAR", "confidence": "VARCHAR"}

    assert schema()["settled"] == dict(returned_columns("core/60_facts")) | rule
