"""What turnscope raises, as one tree; pick the level to catch.

::

    TurnscopeError
    ├── ConfigurationError      a setting that cannot work; raised at start-up only
    └── JournalError            a journal that cannot be used
        └── JournalFormatError  a file that does not hold what its name says

Once configured, recording raises none of them: what cannot be recorded is counted, and the turn goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike


class TurnscopeError(Exception):
    """Any error of ours."""


class ConfigurationError(TurnscopeError):
    """A setting cannot work; nothing was started."""


class JournalError(TurnscopeError):
    """A journal cannot be used."""


class JournalFormatError(JournalError):
    """A file of the journal does not hold what it should; the file is left as it is."""

    def __init__(self, path: str | PathLike[str], offset: int, problem: str) -> None:
        super().__init__(f"{path} is damaged at byte {offset}: {problem}. It was left as it is; the rest can be read.")
        self.path, self.offset, self.problem = path, offset, problem
