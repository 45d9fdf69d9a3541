"""DuckDB as the engine under the SQL: tables in, statements by name, rows out.

The statements are files and know nothing of DuckDB but the ones in ``adapters``; this module is all that another
engine would have to bring. Nothing is read from or written to a database file.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import duckdb
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Self

MEMORY_LIMIT: Final = "512MB"
"""What DuckDB may hold before it spills to the temporary folder."""

_SQL = importlib.resources.files("turnscope_analyzer") / "sql"


def statement(name: str) -> str:
    """Return the SQL of *name*, such as ``core/40_turns``."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def names(folder: str) -> list[str]:
    """Return the statements in *folder* in the order of their names."""
    files = (entry.name for entry in (_SQL / folder).iterdir())
    return sorted(f"{folder}/{file.removesuffix('.sql')}" for file in files if file.endswith(".sql"))


class Engine:
    """A database in memory with the input tables; use it as a context manager, it cleans up its folder."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="turnscope-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._con = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(self.folder / "spill")})
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
            self._con.execute(f"COPY {table} FROM '{_quoted(path)}' (FORMAT json, ARRAY false)")
        path.unlink()

    def clear(self, table: str) -> None:
        """Empty an input table."""
        self._con.execute(f"DELETE FROM {table}")

    def append(self, table: str, name: str) -> None:
        """Append the rows of a statement to a table, column by name."""
        self._con.execute(f"INSERT INTO {table} BY NAME {statement(name)}")

    def export(self, name: str, path: Path) -> None:
        """Write the rows of a statement to *path* as Parquet."""
        self._con.execute(f"COPY ({statement(name)}) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)")

    def set(self, variable: str, value: object) -> None:
        """Set a variable that an adapter reads with getvariable()."""
        self._con.execute(f"SET VARIABLE {variable} = $1", [value])

    def view(self, name: str, adapter: str) -> None:
        """Let *name* stand for the rows of an adapter."""
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {statement(adapter)}")

    def build(self, *statements: str) -> None:
        """Run core statements in the given order, each into the table that its name says."""
        for name in statements:
            table = name.partition("/")[2].partition("_")[2]
            self._con.execute(f"CREATE TABLE {table} AS {statement(name)}")

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._con.execute(sql, parameters).fetchall()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
