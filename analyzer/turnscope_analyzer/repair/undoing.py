"""Undo a repair from what lies in its folder.

Whether there is anything to undo is told by what the files hold, not by how far the repair said it came: a repair that
was killed is undone like any other. What an undo replaces is kept in the same folder.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.repair import writing
from turnscope_analyzer.repair.errors import BusyError, ChangedError, NoBackupError, NotVerifiedError, RepairError
from turnscope_analyzer.repair.manifest import read_manifest
from turnscope_analyzer.repair.owners import locked, why_busy
from turnscope_analyzer.repair.plan import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from turnscope_analyzer.repair.manifest import Entry

    Rebuild = Callable[[BinaryIO, int, Path, BinaryIO], object]
    """Reads the new file, which has so many bytes, and the folder of what was put aside; writes the old file."""

_UNDONE: Final = "undone"


def undo(
    folder: Path,
    *,
    force: bool = False,
    busy: Callable[[], str] = str,
    rebuild: Rebuild | None = None,
    locks: Sequence[Path] = (),
    only: int | None = None,
) -> list[str]:
    """Bring back what the repair of this *folder* has replaced, the last step first, and return what was done.

    Args:
        folder: Of the repair.
        force: Bring it back also where the file was changed since; that state is kept in the folder. It does not
            override a live owner.
        busy: Says why the owner of the files lives, "" if it does not.
        rebuild: Makes the old file where its backup was deleted.
        locks: Files by whose advisory lock the owner shows that it lives.
        only: The number of the one step to undo, while the repair itself still holds all locks.

    Raises:
        BusyError: The owner lives. Steps that were undone before stay so.
        ChangedError: A file was changed since, and *force* is not set.
        NoBackupError: The folder holds no repair, or the old file is not in it any more.
        RepairError: It cannot be written.
    """
    manifest = read_manifest(folder)
    numbers = range(len(manifest.steps)) if only is None else range(only, only + 1)
    said = []
    with ExitStack() as held:
        entries = [manifest.steps[number] for number in reversed(numbers)]
        files = [Path(entry.path) for entry in entries if entry.kind != "rows"]
        for path in (*locks, *files) if only is None else ():
            held.enter_context(locked(path))
        for entry in entries:
            path = Path(entry.path)
            if why := busy() or why_busy(path, readers=entry.kind == "rows", recent_s=0):
                raise BusyError(path, why)
            try:
                said.append(_UNDO[entry.kind](_Work(folder, entry, rebuild, force, manifest.state == "done")))
            except (OSError, sqlite3.Error) as error:
                why = str(getattr(error, "strerror", None) or error)
                raise RepairError(f"{path} was not restored: {why}. Its backup is in {folder}.") from error
    if only is None:
        manifest.state = "undone"
        manifest.save(folder)
    return said


def put_back(kept: Path, path: Path, folder: Path) -> None:
    """Put the file *kept* in the repair's *folder* in place at *path*; the backup stays a backup."""
    near = folder if folder.stat().st_dev == path.parent.stat().st_dev else path.parent
    name = f".{secrets.token_hex(6)}.turnscope-old"
    writing.keep(kept, near, name)
    writing.put_in_place(near / name, path)


class _Work(NamedTuple):
    """One step that is to be undone."""

    folder: Path
    entry: Entry
    rebuild: Rebuild | None
    force: bool
    is_done: bool

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.entry.path)

    @property
    def kept(self) -> Path:
        """Where its old state was kept."""
        return self.folder / self.entry.backup

    def keep_current(self) -> None:
        """Keep the file as it is now, under a name that says so."""
        names = (f"{self.path.name}.{_UNDONE}-{number}" for number in itertools.count())
        writing.keep(self.path, self.folder, next(name for name in names if not (self.folder / name).exists()))


def _rewrite(work: _Work) -> str:
    path, entry = work.path, work.entry
    if not path.exists():
        raise ChangedError(path, "is not there any more; its backup is " + str(work.kept))
    size_bytes = path.stat().st_size
    if size_bytes == entry.before["bytes"] and writing.digest_of(path) == entry.before["sha256"]:
        return f"{path}: nothing to undo, it is what it was"
    tail_bytes = size_bytes - entry.after["bytes"]
    is_ours = tail_bytes >= 0 and writing.digest_of(path, entry.after["bytes"]) == entry.after["sha256"]
    if not is_ours or (tail_bytes and not entry.grows):
        if not work.force:
            raise ChangedError(path, f"was changed after the repair in {work.folder}")
        tail_bytes = 0
    has_backup = bool(entry.backup) and work.kept.exists()
    if has_backup and writing.digest_of(work.kept) != entry.before["sha256"]:
        raise NoBackupError(f"{work.kept} is not what it was when it was made; {path} was left as it is.")
    if not has_backup and (work.rebuild is None or not is_ours):
        raise NoBackupError(f"{work.kept} is gone; {path} was left as it is.")
    work.keep_current()
    if has_backup and not tail_bytes:
        put_back(work.kept, path, work.folder)
    else:
        _write_old(work, tail_bytes)
    kept = f", with {tail_bytes:,} bytes that came after the repair" if tail_bytes else ""
    return f"{path}: restored, {entry.before['bytes']:,} bytes{kept}"


def _write_old(work: _Work, tail_bytes: int) -> None:
    """Write the old file with what was appended to the new one, and put it in place."""
    before, after = work.entry.before, work.entry.after
    has_backup = work.kept.exists()

    def make(out: BinaryIO) -> None:
        with work.path.open("rb") as current:
            old = _Counting(out)
            if has_backup:
                with work.kept.open("rb") as kept:
                    _copy(kept, old)
            elif work.rebuild is not None:
                work.rebuild(current, after["bytes"], work.folder / work.entry.aside, old)  # type: ignore[arg-type]
            if (old.count, old.digest.hexdigest()) != (before["bytes"], before["sha256"]):
                raise NotVerifiedError(work.path, "what was put aside does not make the old file any more")
            current.seek(after["bytes"])
            if tail_bytes:
                _copy(current, out)

    new = writing.write_new(work.folder, work.path, keeps_time=True, make=make)
    writing.put_in_place(new.path, work.path)


class _Counting:
    """A file to write to that knows what was written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.count = 0
        self.digest = hashlib.sha256()

    def write(self, content: bytes | bytearray | memoryview) -> int:
        self.count += len(content)
        self.digest.update(content)
        return self._out.write(content)


def _copy(source: BinaryIO, out: BinaryIO | _Counting) -> None:
    while block := source.read(writing.BLOCK_BYTES):
        out.write(block)


def _creation(work: _Work) -> str:
    path, after = work.path, work.entry.after
    if not path.exists():
        return f"{path}: nothing to undo, it is not there"
    if writing.digest_of(path) != after["sha256"] and not work.force:
        raise ChangedError(path, f"was changed after the repair in {work.folder}")
    work.keep_current()
    writing.take_away(path)
    return f"{path}: taken away"


def _removal(work: _Work) -> str:
    path = work.path
    if path.exists():
        if writing.digest_of(path) == work.entry.before["sha256"]:
            return f"{path}: nothing to undo, it is there"
        if not work.force:
            raise ChangedError(path, f"came to be after the repair in {work.folder}")
        work.keep_current()
    if not work.kept.exists():
        raise NoBackupError(f"{work.kept} is gone; {path} cannot be brought back.")
    put_back(work.kept, path, work.folder)
    return f"{path}: brought back"


def _rows(work: _Work) -> str:
    statements = [Statement(*one) for one in work.entry.undo]
    try:
        writing.transact(work.path, statements)
    except ChangedError:
        if work.is_done:
            raise
        # The repair was cut off, perhaps before this step: then there is no such row.
        return f"{work.path}: nothing to undo, its rows are others"
    return f"{work.path}: rows restored"


_UNDO: Final = {"rewrite": _rewrite, "creation": _creation, "removal": _removal, "rows": _rows}
