"""Say counts, times and names the same way in every report.

Whatever came from a file is untrusted: ``escaped`` is the only way by which it gets into a report for people,
so nothing in a trace can move the cursor, recolour the terminal or turn the reading order around.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import STATE_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from turnscope.phases import State
    from turnscope_analyzer.model import Report, Verdict

NO_CAUSE: Final = "no cause"
"""What counts by cause call a turn that needs none."""

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

OPEN_STATES: Final = frozenset({"stuck", "orphaned", "waiting"})
"""States of a turn that has not ended: its phase is still open at the horizon."""


def escaped(text: str) -> str:
    r"""Replace everything that a terminal does not print as a visible sign by its ``\x1b`` form."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def iso_instant(at_ns: int) -> str:
    """Write a point in time whole, ISO 8601 UTC: ``2026-11-21T05:12:07.000000001Z``."""
    seconds, rest_ns = divmod(at_ns, NS_PER_S)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest_ns:09}Z"


def counted(count: int, noun: str) -> str:
    """Say how many: ``1 turn``, ``12,000 turns``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size_words(size_bytes: int) -> str:
    """Return a size for people: ``611.0 MB``."""
    for unit, factor in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:,.1f} {unit}"
    return f"{size_bytes} bytes"


def state_words(state: State) -> str:
    """Return the state as a person says it: ``not determinable``."""
    return state.replace("_", " ")


def short_path(file: str, base: str) -> str:
    """Return *file* as seen from the folder *base* if that is shorter; "" as base leaves it as it is."""
    if not base or not file.startswith(os.sep):
        return file
    return min(file, os.path.relpath(file, base), key=len)


def tally(counts: Mapping[str, int]) -> str:
    """Say counts by reason, largest first: ``queue_full 9, not_serialisable 3``; what counted nothing is left out."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered if count)


def urgency(verdict: Verdict) -> tuple[int, int]:
    """Return a sort key: by state as in ``STATE_ORDER``, then the longest wait first."""
    return (STATE_ORDER.index(verdict.state), -(verdict.age_ms or 0))


def count_states(report: Report) -> dict[State, int]:
    """Count all turns of *report* by state, those that are not listed among them; no zeros."""
    counts = dict.fromkeys(STATE_ORDER, 0)
    for verdict in report.turns:
        counts[verdict.state] += 1
    for (state, _), count in report.unlisted.items():
        counts[state] += count
    counts["healthy"] += report.healthy
    return {state: count for state, count in counts.items() if count}


def headline(report: Report) -> str:
    """Say how many turns there are and how they fare: ``3 turns: 1 stuck, 2 healthy``."""
    counts = count_states(report)
    if not counts:
        return "no turns"
    states = ", ".join(f"{count:,} {state_words(state)}" for state, count in counts.items())
    return f"{counted(sum(counts.values()), 'turn')}: {states}"


def count_causes(verdicts: Iterable[Verdict]) -> Counter[str]:
    """Count *verdicts* by cause; turns without one are counted as ``no cause``."""
    return Counter(verdict.cause or NO_CAUSE for verdict in verdicts)


def count_unlisted(report: Report, state: State) -> Counter[str]:
    """Count the turns of one state that are judged and not listed by cause, as ``count_causes`` does the others."""
    return Counter(
        {cause or NO_CAUSE: count for (of_state, cause), count in report.unlisted.items() if of_state == state}
    )
