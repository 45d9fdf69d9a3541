"""What of a file is put aside: its bad records, each with its place, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Reject

if TYPE_CHECKING:
    from pathlib import Path

REJECT_CAP: Final = 1_000
"""So many bad records of a file are listed; the rest is only counted."""


def unreadable(path: Path | str, error: OSError) -> Reject:
    """Return the reject of a file or folder that as a whole cannot be read."""
    return Reject(str(path), 0, f"cannot be read: {error.strerror or type(error).__name__}")


class Rejects:
    """The bad records of one file, listed up to a cap and counted beyond it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._listed: list[Reject] = []
        self._first_unlisted = 0
        self._unlisted = 0

    def add(self, offset: int, reason: str) -> None:
        """Put the record at *offset* aside."""
        if len(self._listed) < REJECT_CAP:
            self._listed.append(Reject(self._file, offset, reason))
            return
        if not self._unlisted:
            self._first_unlisted = offset
        self._unlisted += 1

    def all(self) -> list[Reject]:
        """Return what was listed, and one entry from where on how many more were not."""
        if not self._unlisted:
            return self._listed
        return [*self._listed, Reject(self._file, self._first_unlisted, f"and {self._unlisted} more bad records")]
