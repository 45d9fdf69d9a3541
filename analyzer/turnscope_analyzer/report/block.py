"""Say in full, or in a few lines, what became of one turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.describe import duration_words, instant_words
from turnscope_analyzer.model import Evidence
from turnscope_analyzer.report.waterfall import render_path
from turnscope_analyzer.report.wording import NS_PER_MS, OPEN_STATES, short_path, state_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.model import Finding, Verdict
    from turnscope_analyzer.report.layout import Style

MAX_EVIDENCE: Final = 8
"""Records that a block lists on each side; the others are counted and stand in ``--json``."""

_INDENT: Final = "  "
_LABEL_COLUMNS: Final = 11


def full_block(verdict: Verdict, style: Style, base: str) -> list[str]:
    """Return all that is known of a turn, as lines: state, wait, path, evidence on both sides and what to do."""
    return [
        *_heading(verdict, style),
        *_prose(verdict.summary, style),
        *style.flow(*_facts(verdict), first=_INDENT, rest=_INDENT),
        *filter(None, [render_path(verdict, style, _INDENT)]),
        *_records("evidence", verdict.evidence, style, base),
        *_records("against", verdict.counter_evidence, style, base),
        *_records("found", [as_record(finding) for finding in verdict.findings], style, base),
        *_field("ruled out", verdict.ruled_out, style),
        *_field("not seen", verdict.not_seen, style),
        *_field("next", [verdict.next_step], style),
    ]


def brief_block(verdict: Verdict, style: Style) -> list[str]:
    """Return a turn in few lines: who it is, what became of it, cut to one line, and when."""
    summary = style.cut(_INDENT + verdict.summary)[len(_INDENT) :]
    found = [f"found: {finding.what} ({finding.name})" for finding in verdict.findings]
    return [*_heading(verdict, style), *style.flow(summary, _when(verdict), *found, first=_INDENT, rest=_INDENT)]


def _heading(verdict: Verdict, style: Style) -> list[str]:
    state = state_words(verdict.state).upper()
    first, *others = style.flow(
        state if verdict.cause is None else f"{state} {verdict.cause}",
        f"turn {verdict.turn_id}",
        f"session {verdict.session_id}" if verdict.session_id else "",
        rest=_INDENT,
    )
    return [style.painted(first, len(state), verdict.state), *others]


def _facts(verdict: Verdict) -> tuple[str, ...]:
    """Name the phase, since when and for how long, how sure the verdict is and by which rule."""
    lane = f"on {verdict.lane}" if verdict.lane is not None and ":" in verdict.lane else ""
    return (
        " ".join(word for word in (verdict.phase, lane, _when(verdict)) if word),
        f"{verdict.confidence}, rule {verdict.rule}",
        "" if verdict.cancel is None else f"a stop was asked for: {verdict.cancel.replace('_', ' ')}",
    )


def _when(verdict: Verdict) -> str:
    """Say since when the phase is open, or when it was, and how long: ``since 2026-11-21 05:05:56Z, 6 min 11 s``."""
    parts = []
    if verdict.since_ns is not None:
        parts.append(f"{'since' if verdict.state in OPEN_STATES else 'from'} {instant_words(verdict.since_ns)}")
    if verdict.age_ms is not None:
        parts.append(duration_words(verdict.age_ms * NS_PER_MS))
    return ", ".join(parts)


def _prose(text: str, style: Style) -> list[str]:
    return style.wrap(text, _INDENT, _INDENT) if text else []


def _field(label: str, entries: Sequence[str], style: Style) -> list[str]:
    """Return *entries* below one another with *label* at the first; no line for no entry."""
    lines: list[str] = []
    margin = " " * (len(_INDENT) + _LABEL_COLUMNS)
    for entry in filter(None, entries):
        first = margin if lines else f"{_INDENT}{label:<{_LABEL_COLUMNS}}"
        lines += style.wrap(entry, first, margin)
    return lines


def _records(label: str, records: Sequence[Evidence], style: Style, base: str) -> list[str]:
    entries = []
    for before, record in zip((None, *records), records[:MAX_EVIDENCE], strict=False):
        # Paths are long: a record of the same file as the one above has only its offset.
        same = before is not None and before.file == record.file
        file = style.glyphs.ellipsis if same else short_path(record.file, base)
        entries.append(f"{location(file, record.offset)} {record.what}")
    if len(records) > MAX_EVIDENCE:
        entries.append(f"{style.glyphs.ellipsis} and {len(records) - MAX_EVIDENCE:,} more (--json)")
    return _field(label, entries, style)


def as_record(finding: Finding) -> Evidence:
    """Return *finding* in the shape of evidence, its name behind what it says."""
    return Evidence(finding.file, finding.offset, f"{finding.what} ({finding.name})")


def location(file: str, offset: int | None) -> str:
    """Return where a record stands, ``traces/a.jsonl:1234``; the file alone where the whole of it is the record."""
    return file if offset is None else f"{file}:{offset}"
