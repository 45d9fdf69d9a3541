"""Which versions of Codex the lab runs, and where their binaries are; `make lab` installs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = Path(os.environ.get("TURNSCOPE_CODEX") or ROOT / ".venv" / "codex").resolve()
"""Holds one npm prefix for each version, named after it."""

PINNED: Final = tuple((Path(__file__).parent / "codex-versions.txt").read_text(encoding="utf-8").split())
"""The one place where versions are pinned."""

_NEW: Final = (0, 169)
"""Versions between this one and 0.142 were not looked at."""

VERSIONS: Final = tuple(os.environ.get("TURNSCOPE_CODEX_VERSIONS", "").split()) or PINNED
"""What this run is about."""


def binary(version: str) -> Path | None:
    """Return the program itself, not the script around it, so that a signal meets the right process."""
    packages = FOLDER / version / "node_modules" / "@openai"
    found = sorted(packages.glob("codex-*/vendor/*/*/codex"))
    return found[0] if found else None


def is_new(version: str) -> bool:
    """Tell whether *version* writes down why a turn failed, locks its threads, and retries a refusal for ever."""
    return _number(version) >= _NEW


def known_as(version: str) -> str:
    """Return the pinned version whose shape *version* should have: the newest one that is not newer."""
    older = [pinned for pinned in PINNED if _number(pinned) <= _number(version)]
    return max(older, key=_number, default=PINNED[-1])


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))
