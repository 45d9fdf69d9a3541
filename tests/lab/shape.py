"""What Codex's files are made of: names only, so that a release that changes them is noticed by its new names."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from lab.binary import known_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lab.home import Home

SHAPES: Final = Path(__file__).parent / "shapes"
"""One list for each pinned version, named after it."""

KINDS: Final = ("records", "files", "tables", "log targets", "events")
"""Records of a rollout, files of a home, tables of its databases, targets of its log rows, events of the OTLP logs."""

Shape = dict[str, set[str]]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(r"\d{10,}|\d{4}-\d\d-\d\dT[\d-]+")
_DATE: Final = re.compile(r"/\d{4}/\d\d/\d\d/")

_OTHERS: Final = ("shell_snapshots/", "skills/", ".tmp/", "tmp/")
"""Folders of a home that hold no records of turns."""

_READ_TABLES: Final = frozenset({"logs", "thread_turns"})
"""Tables whose columns tell of turns; of all others the name is enough."""

_OWN_TARGETS: Final = ("codex_", "feedback_")
"""Targets of Codex's own; those of the libraries that it uses depend on the machine's network."""


def shape_of(homes: Iterable[Home], scratch: Path) -> Shape:
    """Return every name that is found in *homes*, by kind; databases are copied to *scratch* and read there."""
    shape: Shape = defaultdict(set)
    for number, home in enumerate(homes):
        shape["files"].update(_files(home.path))
        for rollout in home.rollouts():
            shape["records"].update(_records(rollout))
        for exported in home.exported.glob("logs.jsonl"):
            shape["events"].update(_events(exported))
        for database in sorted(home.path.glob("*.sqlite")):
            copy = _copy(database, scratch / str(number))
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                shape["tables"].update(f"{database.name} {table}" for table in _tables(connection))
                if database.name.startswith("logs_"):
                    shape["log targets"].update(_targets(connection))
    return {kind: shape[kind] for kind in KINDS}


def known_shape(version: str) -> Shape:
    """Return the list that is kept for *version*, or for the newest that is not newer."""
    kept: Mapping[str, list[str]] = orjson.loads(_list_of(known_as(version)).read_bytes())
    return {kind: set(names) for kind, names in kept.items()}


def keep(version: str, shape: Shape) -> None:
    """Make *shape* the list of *version*."""
    rows = {kind: sorted(shape[kind]) for kind in KINDS}
    _list_of(version).write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _list_of(version: str) -> Path:
    return SHAPES / f"{version}.json"


def _files(home: Path) -> Iterator[str]:
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        if path.is_file() and not name.startswith(_OTHERS):
            yield _DATE.sub("/<date>/", _NUMBER.sub("<time>", _UUID.sub("<id>", name)))


def _records(rollout: Path) -> Iterator[str]:
    for line in rollout.read_bytes().splitlines():
        record = orjson.loads(line)
        payload = record["payload"]
        names = (record["type"], payload.get("type"), _type_of(payload.get("item")))
        yield "/".join(name for name in names if name)


def _events(exported: Path) -> Iterator[str]:
    for line in exported.read_bytes().splitlines():
        for resource in orjson.loads(line)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                for record in scope["logRecords"]:
                    yield from (
                        attribute["value"]["stringValue"]
                        for attribute in record["attributes"]
                        if attribute["key"] == "event.name"
                    )


def _type_of(item: Any) -> str | None:
    return item.get("type") if isinstance(item, dict) else None


def _copy(database: Path, folder: Path) -> Path:
    """Copy a database with its log, so that what is not yet in the main file is there, too."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(f"{database}{suffix}", folder)
    return folder / database.name


def _tables(connection: sqlite3.Connection) -> Iterator[str]:
    query = (
        "SELECT name, (SELECT group_concat(name, ', ') FROM pragma_table_info(tables.name))"
        " FROM sqlite_master AS tables WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    for table, columns in connection.execute(query):
        yield f"{table}({columns})" if table in _READ_TABLES else table


def _targets(connection: sqlite3.Connection) -> Iterator[str]:
    for (target,) in connection.execute("SELECT DISTINCT target FROM logs ORDER BY target"):
        if target.startswith(_OWN_TARGETS):
            yield target
