"""Print a report for a person: what is stuck first and in full, the rest shorter, what went well as a count.

Every line fits the width, nothing in the traces reaches the terminal unescaped, and what is left out for length
is counted where it would have stood.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.model import STATE_ORDER
from turnscope_analyzer.report.block import as_record, brief_block, full_block, location
from turnscope_analyzer.report.waterfall import render_waterfall
from turnscope_analyzer.report.wording import (
    count_causes,
    count_unlisted,
    counted,
    headline,
    short_path,
    state_words,
    tally,
    urgency,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnscope.phases import State
    from turnscope_analyzer.model import Report, Verdict
    from turnscope_analyzer.report.layout import Style

MAX_FULL: Final = 20
"""Turns of a state that are shown in full, unless all were asked for."""

MAX_BRIEF: Final = 20
"""Turns of a state that are shown briefly, unless all were asked for."""

MAX_REJECTS: Final = 5
"""Unreadable records that are listed; the others are counted."""

_IN_FULL: Final = frozenset({"stuck", "orphaned"})
_MAX_SOURCES: Final = 3
_SHORTENED: Final = frozenset({"capped", "redacted"})
"""Drops that cost a mark a value, not the mark itself."""


def render_terminal(report: Report, style: Style, *, base: str = "", everything: bool = False) -> str:
    """Return the whole report as text.

    Args:
        report: What the analysis found; its turns may stand in any order.
        style: The width to keep to, the signs to draw with and whether to colour.
        base: The folder that paths are shown relative to; "" leaves them as they are.
        everything: List all turns, healthy ones too, instead of the first of each state.
    """
    turns = sorted(report.turns, key=urgency)
    sections = [_summary(report, style, base)]
    for state in STATE_ORDER:
        of_state = [verdict for verdict in turns if verdict.state == state]
        unlisted = count_unlisted(report, state)
        if state == "healthy" and not everything:
            # Their count is enough, unless the store says something else than the records.
            of_state, unlisted = [verdict for verdict in of_state if verdict.findings], Counter()
        shown = of_state if everything else of_state[: _limit(state)]
        hidden = count_causes(of_state[len(shown) :]) + unlisted
        sections += _section(state, shown, hidden, style, base)
    return _text([*sections, *_footer(report, style, base)])


def render_turn(report: Report, verdict: Verdict, style: Style, *, base: str = "") -> str:
    """Return one turn of *report*: its whole waterfall, then its verdict in full."""
    waterfall = render_waterfall(verdict, style.width, style.glyphs).splitlines()
    return _text([waterfall, full_block(verdict, style, base), *_footer(report, style, base)])


def _text(sections: Sequence[Sequence[str]]) -> str:
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _summary(report: Report, style: Style, base: str) -> list[str]:
    sources = [f"{source.kind} {short_path(source.path, base)}" for source in report.sources]
    if len(sources) > _MAX_SOURCES:
        sources[_MAX_SOURCES - 1 :] = [f"{len(sources) - _MAX_SOURCES + 1:,} more sources"]
    as_of = "" if report.horizon_ns is None else f"as of {instant_words(report.horizon_ns)}"
    return style.flow(headline(report), ", ".join(sources), as_of, rest="  ")


def _limit(state: State) -> int:
    return MAX_FULL if state in _IN_FULL else MAX_BRIEF


def _section(
    state: State, shown: Sequence[Verdict], hidden: Counter[str], style: Style, base: str
) -> Iterator[list[str]]:
    """Yield the turns of one state: full ones as a paragraph each, brief ones together, and *hidden* ones by cause."""
    if state in _IN_FULL:
        yield from (full_block(verdict, style, base) for verdict in shown)
    elif shown:
        yield [line for verdict in shown for line in brief_block(verdict, style)]
    if hidden:
        more = f"{style.glyphs.ellipsis} and {hidden.total():,} more {state_words(state)}"
        yield style.wrap(f"{more}: {tally(hidden)} (--cause NAME, --all or --json shows them)", rest="  ")


def _footer(report: Report, style: Style, base: str) -> Iterator[list[str]]:
    """Yield what is about no single turn, and what may be missing above: unreadable records, lost marks, notes."""
    if report.findings:
        found = (as_record(finding) for finding in report.findings)
        yield [
            *style.wrap(f"{counted(len(report.findings), 'contradiction')} found in the stores:"),
            *(
                line
                for record in found
                for line in style.wrap(
                    f"{location(short_path(record.file, base), record.offset)} {record.what}", "  ", "    "
                )
            ),
        ]
    if report.rejects:
        yield [
            *style.wrap(f"{counted(len(report.rejects), 'record')} could not be read:"),
            *_rejects(report, style, base),
        ]
    if lost := tally({reason: count for reason, count in report.drops.items() if reason not in _SHORTENED}):
        yield style.wrap(f"not recorded, so a phase may be missing above: {lost}", rest="  ")
    if shortened := tally({reason: count for reason, count in report.drops.items() if reason in _SHORTENED}):
        yield style.wrap(f"values shortened or replaced while recording: {shortened}", rest="  ")
    if report.notes:
        yield [line for note in report.notes for line in style.wrap(f"note: {note}", rest="  ")]


def _rejects(report: Report, style: Style, base: str) -> Iterator[str]:
    for reject in report.rejects[:MAX_REJECTS]:
        yield from style.wrap(f"{location(short_path(reject.file, base), reject.offset)} {reject.reason}", "  ", "    ")
    if len(report.rejects) > MAX_REJECTS:
        yield f"  {style.glyphs.ellipsis} and {len(report.rejects) - MAX_REJECTS:,} more (--json)"
