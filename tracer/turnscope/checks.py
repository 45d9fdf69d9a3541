"""Checks the settings of ``configure()``: what cannot work is said at once, before anything is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from turnscope.errors import ConfigurationError
from turnscope.phases import PHASE

if TYPE_CHECKING:
    from collections.abc import Mapping


def checked_budgets(budgets: Mapping[str, float | tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return the budgets as (slow, stuck) seconds.

    Raises:
        ConfigurationError: A phase is unknown or has no budget, or the limits are not 0 < slow <= stuck.
    """
    checked = {}
    for name, limits in budgets.items():
        phase = PHASE.get(name)
        if phase is None or phase.stuck_after_s is None or phase.slow_after_s is None:
            why = "is not a phase" if phase is None else "has no budget: no length of this wait is an error"
            raise ConfigurationError(f"budgets: {name!r} {why}; docs/phases.md lists the phases")
        pair = limits if isinstance(limits, (tuple, list)) else (min(phase.slow_after_s, limits), limits)
        if len(pair) != 2 or not all(_is_seconds(value) for value in pair) or pair[0] > pair[1]:
            raise ConfigurationError(
                f"budgets: {name!r} has {limits!r}; give the seconds until stuck, or (until slow, until stuck)"
            )
        checked[name] = (pair[0], pair[1])
    return checked


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def check_sizes(*, segment_bytes: int, cap_bytes: int, keep_days: float) -> None:
    """Check how much is kept, and for how long.

    Raises:
        ConfigurationError: A number cannot work.
    """
    if type(segment_bytes) is not int or not 128 << 10 <= segment_bytes <= 1 << 30:
        raise ConfigurationError(f"segment_bytes is {segment_bytes!r}; it must be from 128 KiB to 1 GiB")
    if type(cap_bytes) is not int or cap_bytes < 2 * segment_bytes:
        raise ConfigurationError(f"cap_bytes is {cap_bytes!r}; it must hold two segments of {segment_bytes} bytes")
    if not _is_seconds(keep_days):
        raise ConfigurationError(f"keep_days is {keep_days!r}; it must be more than 0")


def usable_folder(journal: str | os.PathLike[str] | None) -> Path:
    """Return the folder to record into, which is made when it is missing.

    Raises:
        ConfigurationError: It cannot be made, or not be written.
    """
    given = os.environ.get("TURNSCOPE_JOURNAL") or "traces" if journal is None else journal
    try:
        folder = Path(given).absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"cannot record into {given!r}: {error}. Give a folder that can be written."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"cannot record into {folder}: no right to write there. Give a folder that can be written."
        )
    return folder
