"""What a repair has done, on disk beside its backup: enough to undo it years later, by hand if need be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal

from turnscope_analyzer.repair.errors import NoBackupError
from turnscope_analyzer.repair.writing import save_json

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "manifest.json"
_FORMAT: Final = 1

Kind = Literal["rewrite", "creation", "removal", "rows"]
State = Literal["begun", "done", "undone"]


@dataclass(slots=True)
class Entry:
    """One step as it was made.

    Attributes:
        kind: Which sort of step.
        path: The file, as a real path.
        says: What was done to it.
        backup: The name of the old file in the repair's folder, "" where there was none.
        before: The old file: bytes, sha256, mtime_ns.
        after: The new file, likewise.
        grows: What was appended after the repair stays through an undo.
        aside: The name of the folder of what was put aside, in the repair's folder; "" where nothing was.
        undo: Of rows: the statements that change them back.
    """

    kind: Kind
    path: str
    says: str
    backup: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    grows: bool = False
    aside: str = ""
    undo: list[list[Any]] = field(default_factory=list)


@dataclass(slots=True)
class Manifest:
    """A repair. ``state`` is ``begun`` where it was cut off: then each file is the old or the new one."""

    code: str
    made: str
    state: State
    steps: list[Entry]

    def save(self, folder: Path) -> None:
        """Write it into the repair's *folder*."""
        save_json(folder / NAME, {"turnscope": "repair", "format": _FORMAT, **asdict(self)})


def read_manifest(folder: Path) -> Manifest:
    """Read what was done in the repair that has this *folder*.

    Raises:
        NoBackupError: There is none, or it is not one that this version can read.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_bytes())
        if (content.pop("turnscope"), content.pop("format")) != ("repair", _FORMAT):
            raise NoBackupError(f"{path} was written by another version of turnscope; undo it with that one.")
        steps = [Entry(**step) for step in content.pop("steps")]
        return Manifest(**content, steps=steps)
    except FileNotFoundError:
        raise NoBackupError(f"there is no {path}. Point at the folder of a repair.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoBackupError(
            f"{path} cannot be read ({type(error).__name__}). The files beside it are intact."
        ) from error


def repairs_in(backups: Path, path: str) -> list[tuple[Path, Manifest]]:
    """Return the repairs under *backups* that touched the file at *path* and were not undone, newest first."""
    found = []
    for name in sorted(backups.glob(f"*/{NAME}"), reverse=True):
        try:
            manifest = read_manifest(name.parent)
        except NoBackupError:
            continue
        if manifest.state != "undone" and any(step.path == path for step in manifest.steps):
            found.append((name.parent, manifest))
    return found


def now() -> str:
    """Return the time as a name that sorts; to the microsecond, since an undo takes the last repair first."""
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
