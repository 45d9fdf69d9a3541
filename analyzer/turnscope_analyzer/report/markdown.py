"""Write a report for a bug tracker: what went wrong and on which records, and nothing about who said what.

No text of a conversation is in a report to begin with; sessions, clients and folders are taken out (``private``).
Names from the traces stand in code spans and everything else is escaped, so nothing in a trace can mention a
person, load a picture or break out of its table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.describe import duration_words, instant_words
from turnscope_analyzer.report.block import as_record, location
from turnscope_analyzer.report.private import without_private
from turnscope_analyzer.report.waterfall import render_waterfall
from turnscope_analyzer.report.wording import (
    NO_CAUSE,
    NS_PER_MS,
    OPEN_STATES,
    count_causes,
    count_states,
    count_unlisted,
    counted,
    escaped,
    headline,
    iso_instant,
    state_words,
    tally,
    urgency,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from turnscope.phases import State
    from turnscope_analyzer.model import Evidence, Report, Verdict

MAX_SECTIONS: Final = 12
"""Turns with a section of their own: bug trackers take 64 KiB."""

MAX_RECORDS: Final = 20
"""Records that one table lists; the others are counted."""

_WITH_SECTION: Final[frozenset[State]] = frozenset({"stuck", "orphaned", "failed"})
_WATERFALL_COLUMNS: Final = 100


def render_markdown(report: Report, versions: Mapping[str, str]) -> str:
    """Return *report* as Markdown without sessions, clients and folders.

    Args:
        report: What the analysis found. A turn that is alone in it has a section whatever its state.
        versions: What the reader of a bug report asks for first, by name: turnscope, python, platform.
    """
    report = without_private(report)
    turns = sorted(report.turns, key=urgency)
    worth_it = [verdict for verdict in turns if verdict.state in _WITH_SECTION or len(turns) == 1]
    paragraphs = [
        "## turnscope report",
        _opening(report),
        _table(("", ""), [*versions.items(), *_read(report)]),
        _table(("state", "turns", "causes"), _states(report)),
    ]
    for verdict in worth_it[:MAX_SECTIONS]:
        paragraphs += _section(verdict)
    more = len(worth_it[MAX_SECTIONS:]) + sum(count_unlisted(report, state).total() for state in _WITH_SECTION)
    if more:
        paragraphs.append(f"… and {more:,} more that are stuck, orphaned or failed.")
    paragraphs += _missing(report)
    return "\n\n".join(paragraphs) + "\n"


def _opening(report: Report) -> str:
    as_of = "" if report.horizon_ns is None else f", as of {instant_words(report.horizon_ns)}"
    return f"{headline(report)}{as_of}."


def _read(report: Report) -> Iterator[tuple[str, str]]:
    for source in report.sources:
        amounts = (counted(source.files, "file"), counted(source.bytes, "byte"), counted(source.turns, "turn"))
        yield f"read: {source.kind}", ", ".join(amounts)


def _states(report: Report) -> Iterator[tuple[str, str, str]]:
    for state, count in count_states(report).items():
        causes = count_causes(verdict for verdict in report.turns if verdict.state == state)
        causes += count_unlisted(report, state)
        del causes[NO_CAUSE]
        yield state_words(state), f"{count:,}", tally(causes)


def _section(verdict: Verdict) -> Iterator[str]:
    cause = "" if verdict.cause is None else f" {_code(verdict.cause)},"
    yield f"### {state_words(verdict.state)}:{cause} turn {_code(verdict.turn_id)}"
    yield _prose(verdict.summary)
    yield "\n".join(f"- {fact}" for fact in _facts(verdict))
    if verdict.stretches:
        yield _fenced(render_waterfall(verdict, _WATERFALL_COLUMNS))
    yield from _records("evidence", verdict.evidence)
    yield from _records("evidence against it", verdict.counter_evidence)
    yield from _records("found in the store", [as_record(finding) for finding in verdict.findings])
    yield from _listed("Ruled out", verdict.ruled_out)
    yield from _listed("Not seen", verdict.not_seen)
    yield from _listed("Next", [verdict.next_step] if verdict.next_step else [])


def _facts(verdict: Verdict) -> Iterator[str]:
    if verdict.phase is not None:
        lane = f" on {_code(verdict.lane)}" if verdict.lane is not None and ":" in verdict.lane else ""
        yield f"phase: {_code(verdict.phase)}{lane}"
    if verdict.since_ns is not None:
        yield f"{'since' if verdict.state in OPEN_STATES else 'from'}: {iso_instant(verdict.since_ns)}"
    if verdict.age_ms is not None:
        yield f"length: {duration_words(verdict.age_ms * NS_PER_MS)}"
    yield f"confidence: {verdict.confidence}, rule {_code(verdict.rule)}"
    if verdict.cancel is not None:
        yield f"a stop was asked for: {_code(verdict.cancel)}"
    if verdict.session_id:
        yield f"session: {_code(verdict.session_id)} (SHA-256), source: {_code(verdict.source)}"


def _records(title: str, records: Sequence[Evidence]) -> Iterator[str]:
    if not records:
        return
    rows = [(_code(location(record.file, record.offset)), _prose(record.what)) for record in records[:MAX_RECORDS]]
    if len(records) > MAX_RECORDS:
        rows.append((f"… {len(records) - MAX_RECORDS:,} more", ""))
    yield _table((title, ""), rows)


def _listed(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield "\n".join([f"{title}:", "", *(f"- {_prose(entry)}" for entry in entries)])


def _missing(report: Report) -> Iterator[str]:
    yield from _records("found in the stores", [as_record(finding) for finding in report.findings])
    if report.rejects:
        rows = [(_code(location(r.file, r.offset)), _prose(r.reason)) for r in report.rejects[:MAX_RECORDS]]
        if len(report.rejects) > MAX_RECORDS:
            rows.append((f"… {len(report.rejects) - MAX_RECORDS:,} more", ""))
        yield _table(("could not be read", ""), rows)
    if drops := tally(report.drops):
        yield f"Dropped while recording: {_prose(drops)}."
    yield from _listed("Notes", report.notes)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fenced(text: str) -> str:
    """Put *text* into a code block whose fence is longer than any in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(longest + 1, 3)
    return f"{fence}text\n{text}{fence}"


def _code(text: str) -> str:
    r"""Put a name into a code span that holds inside a table, too: there ``|`` has to be ``\|`` even in code."""
    return f"`{escaped(text).replace('`', chr(39)).replace('|', chr(92) + '|') or ' '}`"


def _prose(text: str) -> str:
    """Escape what Markdown would take for more than text, and what would call a person or an issue."""
    marked = re.sub(r"([\\`*\[\]<>|~#])", r"\\\1", escaped(text))
    return marked.replace("@", "(at)")
