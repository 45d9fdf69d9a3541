"""The only module that writes to files of other programs.

Whatever is put in place here was whole on disk before, under another name, and what it replaces is still there
afterwards, in the backup. So a kill at any moment leaves the old or the new file. Where to, and whether at all, is
decided by those who call it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import sys
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from turnscope_analyzer.repair.errors import ChangedError, NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from turnscope_analyzer.repair.plan import Statement

BLOCK_BYTES: Final = 1 << 20
_OURS_ALONE: Final = 0o700
_CANNOT_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS})
"""Another file system, one without hard links, or a system that allows them for one's own files only."""


class Written(NamedTuple):
    """A file as it was written to disk."""

    path: Path
    size_bytes: int
    sha256: str


class Aside:
    """A folder for files that an undo needs. They are on disk before the repair's own file is put in place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: list[Path] = []

    def copy(self, name: str, source: BinaryIO, at: int, size_bytes: int) -> None:
        """Keep a part of *source* as the file *name*."""
        with self._new(name) as out:
            _copy_range(source.fileno(), out.fileno(), at, size_bytes)

    def write(self, name: str, content: bytes | bytearray) -> None:
        """Keep *content* as the file *name*."""
        with self._new(name) as out:
            out.write(content)

    def settle(self) -> None:
        """See to it that all of them are on disk."""
        # Not one by one as they come: the first sync writes out most of what the others would wait for.
        for path in self._written:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if self._written:
            _sync_folder(self.folder)
        self._written.clear()

    @contextmanager
    def _new(self, name: str) -> Iterator[BinaryIO]:
        if not self.folder.is_dir():
            make_folder(self.folder)
        path = self.folder / name
        with path.open("xb") as out:
            path.chmod(0o600)
            self._written.append(path)
            yield out


def make_folder(path: Path) -> Path:
    """Make a folder that only its owner may look into, and those above it that are missing; return it."""
    path.parent.mkdir(mode=_OURS_ALONE, parents=True, exist_ok=True)
    path.mkdir(mode=_OURS_ALONE)
    _sync_folder(path.parent)
    return path


def keep(path: Path, folder: Path, name: str) -> bool:
    """Keep the file at *path* in *folder*: as a second name of the same file, or else as a copy.

    Returns:
        Whether it is the same file: then it cost nothing, and it follows what is still written to it.
    """
    kept = folder / name
    try:
        os.link(path, kept)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
    else:
        _sync_folder(folder)
        return True
    with path.open("rb") as source, _fresh(kept) as out:
        stat = os.fstat(source.fileno())
        _copy_range(source.fileno(), out.fileno(), 0, stat.st_size)
        _look_like(out, path, keeps_time=True)
    return False


def write_new(folder: Path, like: Path, *, keeps_time: bool, make: Callable[[BinaryIO], object]) -> Written:
    """Write a new file under a name of our own, in *folder* or, where that is elsewhere, beside *like*.

    Args:
        folder: Of the repair.
        like: The file whose mode and owner it gets; it has to lie on the file system where the new one is to be.
        keeps_time: It gets the time of the last change, too.
        make: Writes the content. When it raises, nothing is left.
    """
    near = folder if folder.stat().st_dev == like.stat().st_dev else like.parent
    path = near / f".{secrets.token_hex(6)}.turnscope-new"
    try:
        with path.open("xb", buffering=0) as out:
            path.chmod(0o600)
            hashing = _Hashing(out)
            make(cast("BinaryIO", hashing))
            _look_like(out, like, keeps_time=keeps_time)
            os.fsync(out.fileno())
            return Written(path, os.fstat(out.fileno()).st_size, hashing.digest.hexdigest())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def put_in_place(new: Path, path: Path) -> None:
    """Let *new* be the file at *path* from one moment to the next; what was there has to be in a backup."""
    new.replace(path)
    _sync_folder(path.parent)


def put_beside(new: Path, path: Path) -> None:
    """Let *new* be the file at *path*, where there is none.

    Raises:
        ChangedError: There is one.
    """
    try:
        os.link(new, path)
    except FileExistsError:
        raise ChangedError(path, "is there already") from None
    new.unlink()
    _sync_folder(path.parent)


def take_away(path: Path) -> None:
    """Remove the file at *path*; it has to be in a backup."""
    path.unlink()
    _sync_folder(path.parent)


def discard(path: Path) -> None:
    """Remove a file or a folder of our own that is not needed any more."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write *content* to *path*, in the repair's own folder, from one moment to the next."""
    with _fresh(path) as out:
        out.write(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")


def keep_database(path: Path, kept: Path) -> None:
    """Write a whole copy of a SQLite database, with what is still in its log, to *kept*."""
    with closing(_connect(path)) as source, closing(sqlite3.connect(kept)) as out:
        source.backup(out)
    kept.chmod(0o600)
    with kept.open("rb") as file:
        os.fsync(file.fileno())
    _sync_folder(kept.parent)


def transact(path: Path, statements: Sequence[Statement], check: Sequence[Statement] = ()) -> None:
    """Change rows of a SQLite database, all or none.

    Raises:
        ChangedError: A statement would change another number of rows than it has to. None was changed.
        NotVerifiedError: A query of *check* gives a row afterwards. None was changed.
        sqlite3.Error: It cannot be done. None was changed.
    """
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                changed = connection.execute(statement.sql, statement.values).rowcount
                if statement.rows is not None and changed != statement.rows:
                    raise ChangedError(path, f"has {changed} rows like the one to change, and not {statement.rows}")
            for query in check:
                if connection.execute(query.sql, query.values).fetchone() is not None:
                    raise NotVerifiedError(path, "a row is not what it should be")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def digest_of(path: Path, size_bytes: int = sys.maxsize) -> str:
    """Return the SHA-256 of the first *size_bytes* of the file at *path*."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while size_bytes and (count := file.readinto(block[: min(size_bytes, BLOCK_BYTES)])):
            digest.update(block[:count])
            size_bytes -= count
    return digest.hexdigest()


class _Hashing:
    """A file to write to that knows the SHA-256 of what was written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.digest = hashlib.sha256()

    def write(self, content: bytes | bytearray | memoryview) -> int:
        left = memoryview(content)
        self.digest.update(left)
        while left:
            # An unbuffered file may take less than it was given.
            left = left[self._out.write(left) :]
        return len(content)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database that is there, and leave transactions to whoever uses it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1.0)


@contextmanager
def _fresh(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that is at *path* when it is whole and on disk, in a folder of ours."""
    written = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with written.open("xb", buffering=0) as out:
            written.chmod(0o600)
            yield cast("BinaryIO", out)
            os.fsync(out.fileno())
        written.replace(path)
    except BaseException:
        with suppress(OSError):
            written.unlink()
        raise
    _sync_folder(path.parent)


def _look_like(out: BinaryIO, like: Path, *, keeps_time: bool) -> None:
    stat = like.stat()
    own = os.fstat(out.fileno())
    if (stat.st_uid, stat.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(out.fileno(), stat.st_uid, stat.st_gid)
    os.fchmod(out.fileno(), stat.st_mode & 0o7777)
    if keeps_time:
        os.utime(out.fileno(), ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _copy_range(source: int, out: int, at: int, size_bytes: int) -> None:
    """Copy from one descriptor to another; in the kernel where it can do that."""
    while size_bytes:
        if sys.platform == "linux":
            count = os.sendfile(out, source, at, size_bytes)
        else:
            count = os.write(out, os.pread(source, min(size_bytes, BLOCK_BYTES), at))
        if not count:
            raise OSError(errno.EIO, "the file ended while it was copied")
        at += count
        size_bytes -= count


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems have no such thing; what was renamed is as safe as they make it.
        pass
    finally:
        os.close(descriptor)
