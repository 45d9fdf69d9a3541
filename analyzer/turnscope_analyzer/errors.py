"""What can go wrong when records are read, as far as the user can do something about it.

AnalyzeError
├── PathMissingError       the path is not there
├── NothingFoundError      nothing in it that we know
└── UnreadableError        it is there and cannot be read
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class AnalyzeError(Exception):
    """The analysis cannot be made; the message says what to do. Nothing was changed."""


class PathMissingError(AnalyzeError):
    """A path that was asked for does not exist."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} does not exist. Point at the folder that TURNSCOPE_JOURNAL names (./traces by default), "
            f"or at ~/.codex, ~/.openclaw, ~/.claude/projects."
        )
        self.path = path


class NothingFoundError(AnalyzeError):
    """The paths hold no record that we know."""

    def __init__(self, paths: list[Path], looked_at: int, looked_for: list[str]) -> None:
        where = ", ".join(str(path) for path in paths)
        held = f"none of the {looked_at} files in it is known" if looked_at else "it holds no file"
        super().__init__(
            f"nothing to analyze in {where}: {held}. Looked for journal segments "
            f'(first line {{"turnscope":"journal",...}}), {", ".join(looked_for)}. '
            f"Point at the folder that TURNSCOPE_JOURNAL names, or at ~/.codex, ~/.openclaw, ~/.claude/projects."
        )
        self.paths, self.looked_at = paths, looked_at


class UnreadableError(AnalyzeError):
    """A file or folder that was asked for cannot be read."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"cannot read {path}: {error.strerror or error}. Check its owner and its rights.")
        self.path = path
