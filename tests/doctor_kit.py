"""What the tests of the doctor share: a look over one home, and what came of it in few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnscope_analyzer.doctor.checkup import check
from turnscope_analyzer.doctor.homes import Home

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.doctor.diagnosis import Checkup, Diagnosis

SECOND_NS = 1_000_000_000


def checked(home: Path, *, now_s: float | None = None, in_use: dict[str, set[int]] | None = None) -> Checkup:
    """Look over *home* as of *now_s*; *in_use* are the stores that a process has open."""
    return check(Home(home, "given"), in_use or {}, now_ns=None if now_s is None else int(now_s * SECOND_NS))


def found(checkup: Checkup) -> list[str]:
    """Return severity and code of all that was found, the worst first."""
    return [f"{one.severity} {one.code}" for one in checkup.diagnoses]


def the(checkup: Checkup, code: str) -> Diagnosis:
    """Return the one finding of *code*."""
    [one] = [one for one in checkup.diagnoses if one.code == code]
    return one
