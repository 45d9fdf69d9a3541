"""Turn what stands on the command line into values, or fail with what would have been right.

Each function is the ``type`` of an option. The vocabulary is imported only where a name of it is given, so that
``--help`` stays fast.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

import click

if TYPE_CHECKING:
    from turnscope_analyzer.collect.addresses import Address

_NS_PER_S: Final = 1_000_000_000
_MAX_NS: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<clock>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,9}))?)?"
    r" ?(?P<zone>Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_EPOCH_TIME: Final = re.compile(r"(?P<ns>\d{16,19})|(?P<s>\d{1,11})(?:\.(?P<fraction>\d{1,9}))?", re.ASCII)
_AGO: Final = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhdw])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Ago(NamedTuple):
    """So long before now."""

    length_ns: int


def parse_instant(text: str) -> int:
    """Return the nanoseconds since the epoch of an ISO 8601 time (UTC unless it names a zone) or of an epoch time.

    An epoch time is in seconds, or from 16 digits on in nanoseconds, as a journal writes it.

    Raises:
        ValueError: It is neither, or lies outside 1970 to 2262.
    """
    if found := _EPOCH_TIME.fullmatch(text):
        at_ns = int(found["ns"]) if found["ns"] else int(found["s"]) * _NS_PER_S + _fraction_ns(found["fraction"])
    elif found := _ISO.fullmatch(text):
        zone = "+00:00" if found["zone"] in {None, "Z"} else found["zone"]
        since_epoch = datetime.fromisoformat(f"{found['day']}T{found['clock'] or '00:00'}{zone}") - _EPOCH
        at_ns = since_epoch // timedelta(seconds=1) * _NS_PER_S + _fraction_ns(found["fraction"])
    else:
        raise ValueError(text)
    if not 0 <= at_ns <= _MAX_NS:
        raise ValueError(text)
    return at_ns


def _fraction_ns(digits: str | None) -> int:
    return int(digits.ljust(9, "0")) if digits else 0


def instant(value: str) -> int:
    """Return the time that *value* says, or fail with an example of each form."""
    try:
        return parse_instant(value.strip())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time. Write 2026-11-21T05:12:07Z, or seconds since 1970.") from None


def since(value: str) -> int | Ago:
    """Return the time that *value* says, or how long before now it lies, or fail with an example of each form."""
    if found := _AGO.fullmatch(value.strip()):
        return Ago(int(found["count"]) * _UNIT_S[found["unit"]] * _NS_PER_S)
    try:
        return parse_instant(value.strip())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time. Write 2h, 30m or 3d, or 2026-11-21T05:12:07Z.") from None


def cause_name(value: str) -> str:
    """Return *value* as the vocabulary writes it (``model-stall`` will do), or fail with all causes."""
    from turnscope.phases import CAUSES  # noqa: PLC0415 -- the vocabulary, not before it is needed

    name = value.strip().lower().replace("-", "_")
    if name not in CAUSES:
        raise click.BadParameter(f"{value!r} is no cause. Causes: {', '.join(CAUSES)}.")
    return name


def budget(value: str) -> tuple[str, float]:
    """Return the phase and the seconds of ``PHASE=SECONDS``, or fail with the phases that it may have meant."""
    from turnscope.phases import PHASE  # noqa: PLC0415 -- the vocabulary, not before it is needed

    name, equals, number = (part.strip() for part in value.partition("="))
    if not equals:
        raise click.BadParameter(f"{value!r} has no '='. Write PHASE=SECONDS, such as first_byte=600.")
    if name not in PHASE:
        raise click.BadParameter(f"{name!r} is no phase{_meant(name, list(PHASE))}.")
    if PHASE[name].stuck_after_s is None:
        raise click.BadParameter(f"{name} has no budget: however long it lasts, that is no error.")
    return name, _seconds(number)


def address(value: str) -> Address:
    """Return the address that *value* says, or fail with an example."""
    from turnscope_analyzer.collect.addresses import parse_address  # noqa: PLC0415 -- for one command only

    try:
        return parse_address(value.strip())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no address. Write HOST:PORT, such as 127.0.0.1:4318.") from None


def address_or_off(value: str) -> Address | None:
    """Return the address that *value* says, None for ``off``, or fail with an example."""
    return None if value.strip().lower() == "off" else address(value)


def _seconds(number: str) -> float:
    try:
        seconds = float(number)
    except ValueError:
        raise click.BadParameter(f"{number!r} is no number of seconds.") from None
    if seconds <= 0 or not math.isfinite(seconds):
        raise click.BadParameter(f"a budget of {number} seconds cannot be kept; it has to be more than 0.")
    return seconds


def _meant(name: str, names: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 -- for an error only

    close = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}" if close else f"; phases are {', '.join(names)}"
