"""Find the thread that is meant, the file that it is in, and what else in its home goes by that file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.repair.errors import RepairError
from turnscope_analyzer.repair.plan import BACKUPS, Rows, Statement
from turnscope_analyzer.sources.codex.ids import UUID
from turnscope_analyzer.sources.codex.records import is_rollout
from turnscope_analyzer.sources.opened import HEAD_BYTES
from turnscope_analyzer.sources.snapshot import UNREADABLE, snapshot, why

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDERS: Final = ("sessions", "archived_sessions")
_ID = re.compile(UUID)
_META = re.compile(rb'"type"\s*:\s*"session_meta".{0,2000}?"id"\s*:\s*"(' + UUID.encode() + rb')"', re.DOTALL)
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_INDEXES: Final = "thread_history_*.sqlite"
_TABLES: Final = """
SELECT tables.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND columns.name = 'thread_id' ORDER BY tables.name
"""


class Thread(NamedTuple):
    """A thread of Codex. ``home`` is None where its file lies outside of one."""

    thread_id: str
    path: Path
    home: Path | None

    @property
    def backups(self) -> Path:
        """Where its backups go: not where Codex looks for threads."""
        return (self.home or self.path.parent) / BACKUPS

    @property
    def locks(self) -> tuple[Path, ...]:
        """The lock that its writer holds, where its version has one."""
        return (self.home / "thread-writer-locks" / f"{self.thread_id}.lock",) if self.home else ()


def default_home() -> Path:
    """Return the home that Codex itself would use."""
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")


def find_thread(name: str, home: Path) -> Thread:
    """Return the thread that *name* means: a rollout's path, or the id of a thread in *home* or its beginning.

    Raises:
        RepairError: There is none, there are several, or it is nothing that can be rescued.
    """
    path = locate(name, home)
    own_home = _home_of(path.absolute(), home)
    path = path.resolve()
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise RepairError(f"cannot read {path}: {error.strerror}.") from error
    if head.startswith(_PACKED):
        raise RepairError(f"{path} is packed. Unpack it (zstd -d), rescue that file, and put the packed one away.")
    if not is_rollout(head):
        raise RepairError(
            f"{path} is not a rollout of Codex, the only kind of thread that can be rescued. Transcripts of Claude "
            f"Code and of OpenClaw are left alone: what stands for a picture there has to be of the picture's own type."
        )
    meta = _META.search(head)
    told = _ID.findall(path.name)
    thread_id = meta[1].decode() if meta else told[-1] if told else ""
    return Thread(thread_id, path, own_home)


def locate(name: str, home: Path) -> Path:
    """Return the file that *name* means: its path, or that of the rollout in *home* whose thread's id begins so.

    Raises:
        RepairError: There is none, or there are several.
    """
    path = Path(name)
    return path if name and path.exists() else _by_id(name, home)


def index_steps(thread: Thread) -> Iterator[Rows]:
    """Yield what has to be forgotten of *thread* in the home's index of turns, which goes by places in the file.

    With the old places, Codex would not list any later turn. It makes the rows anew when it next opens the thread.

    Raises:
        RepairError: The index cannot be read.
    """
    for path in sorted(thread.home.glob(_INDEXES)) if thread.home else ():
        try:
            with snapshot(path) as connection:
                tables = [
                    name
                    for (name,) in connection.execute(_TABLES).fetchall()
                    if connection.execute(
                        f'SELECT 1 FROM "{name}" WHERE thread_id = ? LIMIT 1', (thread.thread_id,)
                    ).fetchone()
                ]
        except UNREADABLE as error:
            raise RepairError(f"{path} {why(error)}. Move it away; Codex makes it anew.") from error
        if tables:
            forget = [
                Statement(f'DELETE FROM "{name}" WHERE thread_id = ?', (thread.thread_id,), None) for name in tables
            ]
            yield Rows(path, "the thread's rows go; Codex makes them anew", forget, forget)


def _by_id(name: str, home: Path) -> Path:
    found = [path for path in _rollouts(home) if (told := _ID.findall(path.name)) and told[-1].startswith(name.lower())]
    plain = [path for path in found if path.suffix == ".jsonl"] or found
    if not name or not plain:
        raise RepairError(
            f"there is no file {name!r}, and no thread whose id begins so in {home}. Give the path of a rollout, or "
            f"name the home with --home or CODEX_HOME."
        )
    if len(plain) > 1:
        named = ", ".join(sorted(str(path) for path in plain)[:5])
        raise RepairError(f"{len(plain)} threads begin with {name!r}: {named}. Give more of the id, or the path.")
    return plain[0]


def _home_of(path: Path, home: Path) -> Path | None:
    """Return the home that the file at *path* belongs to; its folder of sessions may be a link to elsewhere."""
    real = path.resolve()
    if any(one.name == real.name and one.resolve() == real for one in _rollouts(home)):
        return home.resolve()
    folders = (folder for one in (path, real) for folder in one.parents if folder.name in _FOLDERS)
    return next((folder.parent.resolve() for folder in folders), None)


def _rollouts(home: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        # Resolved first: below a link, not every version of Python looks.
        yield from (home / folder).resolve().rglob("rollout-*.jsonl*")
