"""The analyzer's SQL files taken apart: what their headers promise, what the statements read, say and return."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from journal_kit import line
from turnscope_analyzer.engine import Engine, names, statement

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES, CORE, CAUSES, ADAPTERS = (names(folder) for folder in ("tables", "core", "causes", "adapters"))

portable = pytest.mark.parametrize("name", [*CORE, *CAUSES])
"""Asks a test of each statement that other engines can run, too."""

_READS = re.compile(r"^-- reads:\s+(.+)$", re.MULTILINE)
_COLUMN = re.compile(r"^-- column:\s+(\w+) ([A-Z]+)\s+-- \S", re.MULTILINE)


class Column(NamedTuple):
    name: str
    sql_type: str


Schema = dict[str, dict[str, str]]
"""Tables, their columns, and the types of those."""


def table_of(name: str) -> str:
    """Return what a file makes: ``core/40_turns`` -> ``turns``."""
    return re.sub(r"^\d+_", "", name.partition("/")[2])


def promised_reads(name: str) -> dict[str, set[str]]:
    """Return the tables and columns that the header says the statement reads."""
    reads: dict[str, set[str]] = {}
    for listed in _READS.findall(statement(name)):
        for table, columns in re.findall(r"(\w+)\(([^)]*)\)", listed):
            reads.setdefault(table, set()).update(columns.split(", "))
    return reads


def promised_columns(name: str) -> list[Column]:
    """Return the columns that the header says the statement returns."""
    return [Column(*found) for found in _COLUMN.findall(statement(name))]


@functools.cache
def _built() -> tuple[Schema, dict[str, list[Column]]]:
    schema: Schema = {}
    returned = {}
    with Engine() as engine:
        (engine.folder / "segment.jsonl").write_bytes(line(1))
        for variable in ("segment_files", "mark_lines"):
            engine.set(variable, [str(engine.folder / "segment.jsonl")])
        engine.view("scan", "adapters/duckdb_journal")
        for name in CORE:
            if name == "core/15_paces":
                engine.view("strides", "adapters/duckdb_strides")
            if f"tables/{table_of(name)}" not in TABLES:
                engine.build(name)
        engine.set("kept_files", ["a"])
        engine.export("adapters/duckdb_keep", engine.folder / "kept.parquet")
        engine.set("glance_files", [str(engine.folder / "kept.parquet")])
        engine.view("kept_parts", "adapters/duckdb_kept")
        tables = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        for table, column, sql_type in engine.rows(tables):
            schema.setdefault(table, {})[column] = sql_type
        for name in (*CORE, *CAUSES, "adapters/duckdb_journal", "adapters/duckdb_strides", "adapters/duckdb_marks"):
            returned[name] = [Column(*row[:2]) for row in engine.rows(f"DESCRIBE {statement(name)}")]
    return schema, returned


def schema() -> Schema:
    """Return every table that a statement can read, as the engine knows it."""
    return _built()[0]


def returned_columns(name: str) -> list[Column]:
    """Return the columns that the statement really returns."""
    return _built()[1][name]


@functools.cache
def tree(name: str) -> Any:
    """Return the statement as a tree of sqlglot's."""
    return sqlglot.parse_one(statement(name), read="duckdb")


def _qualified(name: str) -> Any:
    return qualify(tree(name).copy(), schema=dict(schema()), dialect="duckdb", quote_identifiers=False)


def reads(name: str) -> dict[str, set[str]]:
    """Return the tables that the statement reads, and the columns that what it returns depends on."""
    found: dict[str, set[str]] = {}
    for scope in traverse_scope(pushdown_projections(_qualified(name))):
        tables = {alias: source for alias, source in scope.sources.items() if isinstance(source, exp.Table)}
        for table in tables.values():
            found.setdefault(table.name, set())
        for column in scope.columns:
            if column.table in tables:
                found[tables[column.table].name].add(column.name)
    return found


def unnamed(name: str) -> Iterator[str]:
    """Yield what a SELECT over several sources returns under a name that they share, without saying AS."""
    scopes: Iterator[Any] = zip(traverse_scope(tree(name)), traverse_scope(_qualified(name)), strict=True)
    for written, known in scopes:
        held: list[str] = []
        for _, source in known.selected_sources.values():
            held += schema()[source.name] if isinstance(source, exp.Table) else source.expression.named_selects
        for selected in written.expression.selects if len(known.selected_sources) > 1 else ():
            if selected.is_star or (isinstance(selected, exp.Column) and held.count(selected.name) > 1):
                yield selected.sql()


def literals(name: str) -> Iterator[tuple[str, str]]:
    """Yield each string in the statement with the column that it is compared to, or given to."""
    for node in tree(name).find_all(exp.EQ, exp.NEQ):
        if isinstance(node.left, exp.Column) and isinstance(node.right, exp.Literal) and node.right.is_string:
            yield node.left.name, node.right.name
    for node in tree(name).find_all(exp.In):
        yield from ((node.this.name, value.name) for value in node.expressions)
    for node in tree(name).find_all(exp.Case):
        if node.this:
            yield from ((node.this.name, branch.this.name) for branch in node.args["ifs"])
    for node in tree(name).find_all(exp.Alias):
        yield from ((node.alias, value) for value in _given(node.this))


def _given(value: Any) -> Iterator[str]:
    if isinstance(value, exp.Literal) and value.is_string:
        yield value.name
    elif isinstance(value, exp.Case):
        for branch in value.args["ifs"]:
            yield from _given(branch.args["true"])
        yield from _given(value.args.get("default"))
