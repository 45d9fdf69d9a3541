"""Which thread is meant, and whether its file can be read as it lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.rescue.threads import locate
from turnscope_analyzer.sources.codex.records import is_rollout
from turnscope_analyzer.sources.opened import HEAD_BYTES, ZSTD

if TYPE_CHECKING:
    from pathlib import Path

_PACKED: Final = (b"\x1f\x8b", ZSTD)


class UnfitError(Exception):
    """A file is no thread that can be read; the message says what to do."""


def find_rollout(name: str, home: Path) -> Path:
    """Return the rollout that *name* means: its path, or a thread's id in *home* or the beginning of one.

    Raises:
        RepairError: There is none, or there are several.
        UnfitError: It is another kind of file, or packed.
        OSError: It cannot be read.
    """
    path = locate(name, home)
    if not is_rollout(plain_head(path)):
        raise UnfitError(
            f"{path} is not a rollout of Codex, the only kind of thread whose context is broken down. "
            f"For others `turnscope doctor` tells how large they are, and what of that are images."
        )
    return path


def plain_head(path: Path) -> bytes:
    """Return the first bytes of a file that is not packed.

    Raises:
        UnfitError: It is packed.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(_PACKED):
        raise UnfitError(f"{path} is packed. Unpack a copy of it (zstd -d, gunzip) and give the path of that.")
    return head
