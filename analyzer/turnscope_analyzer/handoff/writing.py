"""Puts a handoff in its place: whole or not at all, for its owner alone, and never over another file unasked."""

from __future__ import annotations

import errno
import os
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_OURS_ALONE: Final = 0o600
_CANNOT_LINK: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EACCES, errno.ENOSYS})


def write(path: Path, text: str, *, over: bool = False) -> None:
    """Write *text* to *path*, on disk before it has its name; a kill at any moment leaves the old file or the new one.

    Args:
        path: The file; its folder exists.
        text: What it shall hold.
        over: Replace a file that is there.

    Raises:
        FileExistsError: There is one, and *over* is not set. It is left as it was.
        OSError: It cannot be written. What was there is left as it was.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ALONE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if over:
            beside.replace(path)
        else:
            _name(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name(beside: Path, path: Path) -> None:
    """Give the file its name unless another one has it."""
    try:
        # Not a look and then a rename: another program may make the file in between.
        os.link(beside, path)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        # A file system without hard links has nothing better.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        beside.replace(path)
