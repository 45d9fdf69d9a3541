"""Why a repair was not made, or not undone.

RepairError
├── BusyError          a program uses the file, or has written to it a moment ago
├── ChangedError       it is no longer what it was when the repair was planned or made
├── NotVerifiedError   what would have been put in its place does not hold what it has to
└── NoBackupError      there is nothing to undo from
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RepairError(Exception):
    """A repair cannot be made or undone; the message says why, in which state things are, and what to do."""


class BusyError(RepairError):
    """A live program uses the file. Nothing was changed."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is in use: {why}. Nothing was changed. End what uses it, wait, then try again.")
        self.path, self.why = path, why


class ChangedError(RepairError):
    """A file is not what it has to be for this step. It was left as it is."""

    def __init__(self, path: Path, how: str) -> None:
        super().__init__(f"{path} {how}. It was left as it is.")
        self.path = path


class NotVerifiedError(RepairError):
    """The new content does not hold what it has to; the old one is in place."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} would not have been right afterwards: {what}. It was left as it is.")
        self.path = path


class NoBackupError(RepairError):
    """A folder holds no repair that can be undone."""
