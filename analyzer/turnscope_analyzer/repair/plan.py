"""What a repair will do, told before it does it: one step for each file, with the state in which it expects the file.

A step says which file, and brings what makes the new content; how that is put in place so that a kill at any moment
leaves the old or the new one is not its business.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from turnscope_analyzer.repair.writing import Aside

    Make = Callable[[BinaryIO, BinaryIO, Aside], object]
    """Reads the old file and writes the new one; may put further files aside, to undo from."""

    Check = Callable[[BinaryIO, BinaryIO], object]
    """Reads the old file and the new one; raises NotVerifiedError."""


BACKUPS: Final = "turnscope-backups"
"""What the folder for backups is called in a home. Whoever looks for captures leaves it alone: all in it are copies."""


class Stamp(NamedTuple):
    """What tells a file from itself after a change, without reading it."""

    size_bytes: int
    mtime_ns: int
    inode: int
    device: int


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of the file at *path*.

    Raises:
        OSError: There is none.
    """
    stat = os.stat(path)  # noqa: PTH116 -- what is given may be a descriptor's path under /proc
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A file gets new content; its mode and owner stay.

    Attributes:
        path: The real path: a link is followed before the plan is made.
        says: What is done to it, for the person who decides.
        stamp: The file as it was when the plan was made.
        make: Makes the new content.
        check: Verifies it.
        sha256: Of the old content where the plan has read all of it; it is computed where this is empty.
        keeps_time: The time of the last change stays too, so that a list by age keeps its order.
        grows: Its owner only ever appends to it: an undo keeps what came after the repair.
    """

    path: Path
    says: str
    stamp: Stamp
    make: Make
    check: Check
    sha256: str = ""
    keeps_time: bool = True
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Creation:
    """A file comes to be where there is none, made from another one that stays as it is.

    ``stamp`` is that of the ``source``; mode, owner and time are taken from it.
    """

    path: Path
    says: str
    source: Path
    stamp: Stamp
    make: Make
    check: Check


@dataclass(frozen=True, slots=True)
class Removal:
    """A file is taken away, into the backup."""

    path: Path
    says: str
    stamp: Stamp


class Statement(NamedTuple):
    """One statement with its parameters, and how many rows it has to change; None where that is not known before."""

    sql: str
    values: Sequence[str | int | float | None] = ()
    rows: int | None = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a SQLite database are changed in one transaction.

    Attributes:
        path: The database; its owner must not run.
        says: What is done to it, for the person who decides.
        do: What changes them. A WHERE that names the expected old values makes it refuse where they are others.
        undo: What changes them back, by the same rule.
        check: Queries that have to give no row afterwards.
    """

    path: Path
    says: str
    do: Sequence[Statement]
    undo: Sequence[Statement]
    check: Sequence[Statement] = ()


Step = Rewrite | Creation | Removal | Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """A repair that nothing was done for yet.

    Attributes:
        code: Short name, part of the name of its folder: ``rescue``, ``ZOMBIE_RUNNING``.
        steps: Made in this order; a kill between two leaves the earlier ones done, so order them accordingly.
        backups: The folder that gets one folder for each repair. On the file systems of the files a backup costs no
            space and no time.
        busy: Says why the owner of the files lives, "" if it does not; asked before, and again right before each
            step. That somebody has a file open or locked is found out in any case.
        locks: Files by whose advisory lock the owner shows that it lives. They are held meanwhile, where they exist.
    """

    code: str
    steps: Sequence[Step]
    backups: Path
    busy: Callable[[], str] = str
    locks: Sequence[Path] = ()
