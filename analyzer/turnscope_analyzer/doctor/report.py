"""Print what the doctor has found for a person: the stores first, then what is wrong, the worst of it first.

Every line fits the width, and nothing from a file reaches the terminal unescaped.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.doctor.codes import CODE, SEVERITIES
from turnscope_analyzer.model import STATE_ORDER
from turnscope_analyzer.report.block import location
from turnscope_analyzer.report.wording import counted, short_path, state_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from turnscope.phases import State
    from turnscope_analyzer.doctor.diagnosis import Checkup, Diagnosis, Lost
    from turnscope_analyzer.model import Evidence, Value
    from turnscope_analyzer.report.layout import Style

MAX_OF_A_CODE: Final = 10
"""Findings of one code that are listed; the others are counted, and stand in ``--json``."""

MAX_RECORDS: Final = 5
MAX_LOST: Final = 10

_INDENT: Final = "  "
_LABEL_COLUMNS: Final = 9
_TONE: Final[Mapping[str, State]] = {"error": "stuck", "warning": "failed", "note": "waiting"}
_MS_FIELDS: Final = frozenset({"startedAt", "endedAt", "updatedAt", "lastInteractionAt", "at_ms"})


def render(
    checkups: Sequence[Checkup], across: Sequence[Diagnosis], warnings: Sequence[str], style: Style, base: str
) -> str:
    """Return the whole report as text.

    Args:
        checkups: One a home.
        across: What is wrong between homes.
        warnings: What a person has to know first.
        style: The width to keep to, the signs and the colours.
        base: The folder that the paths of records are shown relative to; stores are named whole.
    """
    sections = [list(_stores(checkups, style))]
    sections += [style.wrap(f"! {warning}", rest=_INDENT) for warning in warnings]
    sections += [_summary(checkup, style) for checkup in checkups]
    found = list(chain(across, *(checkup.diagnoses for checkup in checkups)))
    for severity in SEVERITIES:
        sections += _of_severity([one for one in found if one.severity == severity], style, base)
    sections += [list(_notes(checkup, style)) for checkup in checkups if checkup.notes]
    sections.append(style.wrap(headline(found)))
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def headline(found: Sequence[Diagnosis]) -> str:
    """Say how much was found: ``2 errors, 1 warning``."""
    counts = [(severity, sum(one.severity == severity for one in found)) for severity in SEVERITIES]
    said = [counted(count, severity) for severity, count in counts if count]
    return ", ".join(said) if said else "nothing found"


def _stores(checkups: Sequence[Checkup], style: Style) -> Iterator[str]:
    for checkup in checkups:
        for store in checkup.stores:
            aside = "" if str(store.path) == store.real else f", by way of {store.path}"
            yield from style.wrap(f"{store.kind}: {store.real}{aside}", rest=_INDENT)
            held = f"{counted(store.files, 'file')}, {store.bytes / 1e6:,.1f} MB"
            yield from style.flow(checkup.why, held, store.why, first=_INDENT, rest=_INDENT)


def _summary(checkup: Checkup, style: Style) -> list[str]:
    states = [f"{checkup.turns[state]:,} {state_words(state)}" for state in STATE_ORDER if checkup.turns.get(state)]
    turns = f"{counted(sum(checkup.turns.values()), 'turn')}: {', '.join(states)}" if states else "no turns"
    as_of = "" if checkup.horizon_ns is None else f"as of {instant_words(checkup.horizon_ns)}"
    lines = style.flow(str(checkup.path), turns, as_of, rest=_INDENT)
    if (told := checkup.messages) is not None:
        said = f"{counted(told.accepted, 'message')} accepted: {told.started:,} started, {told.queued:,} queued"
        lines += style.wrap(f"{said}, {told.refused:,} refused, {told.lost:,} lost", _INDENT, _INDENT)
    return lines + style.wrap(f"restart now: {checkup.restart.safety}, {checkup.restart.why}", _INDENT, _INDENT)


def _of_severity(found: Sequence[Diagnosis], style: Style, base: str) -> Iterator[list[str]]:
    """Yield a paragraph a finding; what is left out for length is counted behind the others of its code."""
    codes = list(dict.fromkeys(one.code for one in found))
    for code in codes:
        of_code = [one for one in found if one.code == code]
        yield from (_block(one, style, base) for one in of_code[:MAX_OF_A_CODE])
        if len(of_code) > MAX_OF_A_CODE:
            more = f"{style.glyphs.ellipsis} and {len(of_code) - MAX_OF_A_CODE:,} more {code} (--json lists them)"
            yield style.wrap(more, rest=_INDENT)


def _block(one: Diagnosis, style: Style, base: str) -> list[str]:
    known = CODE[one.code]
    session = f"session {one.session_id}" if one.session_id else ""
    first, *rest = style.flow(f"{one.severity.upper()} {one.code}", session, rest=_INDENT)
    return [
        style.painted(first, len(one.severity), _TONE[one.severity]),
        *rest,
        *style.wrap(one.what, _INDENT, _INDENT),
        *_field("proof", _records(one.records, style, base), style),
        *_field("lost", _lost(one.lost, style), style),
        *_field("harm", [known.harm], style),
        *_field("restart", [f"{one.restart.safety}: {one.restart.why}"], style),
        *_field("repair", [one.repair.replace("`", "")], style),
    ]


def _records(records: Sequence[Evidence], style: Style, base: str) -> list[str]:
    shown = [
        f"{location(short_path(record.file, base), record.offset)} {record.what}{_values(record.values)}"
        for record in records[:MAX_RECORDS]
    ]
    if len(records) > MAX_RECORDS:
        shown.append(f"{style.glyphs.ellipsis} and {len(records) - MAX_RECORDS:,} more (--json)")
    return shown


def _values(values: Mapping[str, Value]) -> str:
    """Say the times and figures of a record; what its sentence has already said is left out."""
    said = [
        f"{name} {instant_words(value * 1_000_000)}" if name in _MS_FIELDS else f"{name} {value:,}"
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool) and name not in ("bytes", "threads", "at_ms", "pid")
    ]
    return f" ({', '.join(said)})" if said else ""


def _lost(messages: Sequence[Lost], style: Style) -> list[str]:
    shown = [
        f"accepted {instant_words(message.at_ns)}, run {message.run_id}, "
        + (f"sha256 {message.sha256[:16]}" if message.sha256 else "its text is on no disk")
        for message in messages[:MAX_LOST]
    ]
    if len(messages) > MAX_LOST:
        shown.append(f"{style.glyphs.ellipsis} and {len(messages) - MAX_LOST:,} more (--json)")
    return shown


def _field(label: str, entries: Sequence[str], style: Style) -> list[str]:
    lines: list[str] = []
    margin = " " * (len(_INDENT) + _LABEL_COLUMNS)
    for entry in entries:
        lines += style.wrap(entry, margin if lines else f"{_INDENT}{label:<{_LABEL_COLUMNS}}", margin)
    return lines


def _notes(checkup: Checkup, style: Style) -> Iterator[str]:
    for note in checkup.notes:
        yield from style.wrap(f"note: {note}", rest=_INDENT)
