"""DuckDB as the engine under the SQL: tables in, statements by name, rows out.

The statements are files and know nothing of DuckDB but the ones in ``adapters``; this module is all that another
engine would have to bring. Nothing is read from or written to a database file.
"""

from __future__ import annotations

import importlib.resources
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import duckdb
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Self

MEMORY_MIB: Final = 256
"""What DuckDB may hold at first before it spills to the temporary folder; more where a statement cannot do with it."""

_SQL = importlib.resources.files("turnscope_analyzer") / "sql"


def statement(name: str) -> str:
    """Return the SQL of *name*, such as ``core/40_turns``."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def names(folder: str) -> list[str]:
    """Return the statements in *folder* in the order of their names."""
    files = (entry.name for entry in (_SQL / folder).iterdir())
    return sorted(f"{folder}/{file.removesuffix('.sql')}" for file in files if file.endswith(".sql"))


class Engine:
    """A database in memory with the input tables; use it as a context manager, it cleans up its folder.

    Args:
        sparing: For little data: one thread, and memory that is not needed goes back to the system at once. That
            takes an eighth less of it, and where statements are short no more time.
    """

    def __init__(self, *, sparing: bool = False) -> None:
        self._folder = TemporaryDirectory(prefix="turnscope-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._memory_mib = MEMORY_MIB
        self._con = duckdb.connect(config={"temp_directory": str(self.folder / "spill")})
        if sparing:
            self._con.execute("SET threads = 1")
            self._con.execute("SET allocator_bulk_deallocation_flush_threshold = '1MiB'")
        self._con.execute(f"SET memory_limit = '{self._memory_mib}MiB'")
        # Every statement orders what has to be ordered; keeping the order of input costs memory.
        self._con.execute("SET preserve_insertion_order = false")
        self._con.execute("SET enable_progress_bar = false")  # it would go to stdout, into the report
        for table in names("tables"):
            self._con.execute(statement(table))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()
        self._folder.cleanup()

    def load(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Append *rows* to an input table; a key that is missing is NULL, one without a column is left out."""
        path = self.folder / f"{table}.jsonl"
        with path.open("wb") as spool:
            spool.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
        if path.stat().st_size:
            self._run(f"COPY {table} FROM '{_quoted(path)}' (FORMAT json, ARRAY false)")
        path.unlink()

    def clear(self, table: str) -> None:
        """Empty an input table."""
        self._run(f"DELETE FROM {table}")

    def append(self, table: str, name: str) -> int:
        """Append the rows of a statement to a table, column by name; return how many they were."""
        appended: int = self._run(f"INSERT INTO {table} BY NAME {statement(name)}").fetchall()[0][0]
        return appended

    def export(self, name: str, path: Path) -> None:
        """Write the rows of a statement to *path* as Parquet."""
        # Not zstd: a quarter smaller, and half as long again to read.
        self._run(f"COPY ({statement(name)}) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION snappy)")

    def set(self, variable: str, value: object) -> None:
        """Set a variable that an adapter reads with getvariable()."""
        self._run(f"SET VARIABLE {variable} = $1", [value])

    def view(self, name: str, adapter: str) -> None:
        """Let *name* stand for the rows of an adapter."""
        self._run(f"CREATE OR REPLACE TEMP VIEW {name} AS {statement(adapter)}")

    def build(self, *statements: str) -> None:
        """Run core statements in the given order; each makes the table that its name says, or makes it anew."""
        for name in statements:
            table = name.partition("/")[2].partition("_")[2]
            self._run(f"CREATE OR REPLACE TABLE {table} AS {statement(name)}")

    @contextmanager
    def joining_as_written(self) -> Iterator[None]:
        """Let statements join in their own order, the right side held in memory.

        For those that read lines: the engine takes a file for some forty rows, and would hold all that it has.
        """
        self._run("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        try:
            yield
        finally:
            self._run("RESET disabled_optimizers")

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._run(sql, parameters).fetchall()

    def _run(self, sql: str, parameters: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        """Execute a statement, with twice the memory as often as it has too little."""
        try:
            return self._con.execute(sql, parameters)
        except duckdb.OutOfMemoryException:
            if self._memory_mib * 2 > _physical_mib() // 2:
                raise
        self._memory_mib *= 2
        self._con.execute(f"SET memory_limit = '{self._memory_mib}MiB'")
        return self._run(sql, parameters)


def _physical_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
