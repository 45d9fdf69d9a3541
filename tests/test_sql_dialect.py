"""The dialect that the SQL files keep to, so that other engines can run them."""

from __future__ import annotations

from typing import Final

import pytest
from sqlglot import exp

from sql_kit import portable, schema, tree, unnamed
from turnscope_analyzer.engine import statement

TYPES: Final = {"VARCHAR", "BIGINT", "BOOLEAN"}

FUNCTIONS: Final = {
    "AND",
    "CASE",
    "CAST",  # to BIGINT alone: a sum is wider in DuckDB, and not in ClickHouse
    "COALESCE",
    "COUNT",
    "IF",  # a branch of CASE
    "LEAD",
    "MAX",
    "MIN",
    "OR",
    "ROW_NUMBER",  # in the standard; the only way to choose a row that is the same everywhere when two are equal
    "SUM",
}
"""What tests/test_portable.py has run on ClickHouse with the same results. What is not here is not portable until then:
max_by breaks ties as it likes, division of integers differs, lists and structs have other names everywhere."""

FORBIDDEN: Final = (
    exp.Array,
    exp.Bracket,
    exp.Div,
    exp.IntDiv,
    exp.Interval,
    exp.Lambda,
    exp.Mod,
    exp.Parameter,
    exp.Placeholder,
    exp.Qualify,
    exp.Struct,
)


@portable
def test_the_statements_call_only_what_every_engine_has(name: str) -> None:
    assert {node.sql_name() for node in tree(name).find_all(exp.Func)} <= FUNCTIONS


@portable
def test_the_statements_have_no_lists_structs_parameters_or_divisions(name: str) -> None:
    assert [node.sql() for node in tree(name).find_all(*FORBIDDEN)] == []


@portable
def test_the_statements_group_and_join_by_names_that_are_written_out(name: str) -> None:
    assert not any(group.args.get("all") for group in tree(name).find_all(exp.Group))
    assert not any(join.args.get("using") or join.method for join in tree(name).find_all(exp.Join))


@portable
def test_a_cast_is_written_as_such_and_to_a_type_of_ours(name: str) -> None:
    assert "::" not in statement(name)
    assert {cast.to.sql("duckdb") for cast in tree(name).find_all(exp.Cast)} <= TYPES


@pytest.mark.parametrize("table", schema())
def test_columns_are_strings_whole_numbers_and_truth_values(table: str) -> None:
    assert set(schema()[table].values()) <= TYPES


@portable
def test_a_column_that_several_sources_have_is_returned_under_a_name_that_is_said(name: str) -> None:
    # ClickHouse calls it turns.turn_id otherwise, and the next statement does not find it.
    assert list(unnamed(name)) == []
