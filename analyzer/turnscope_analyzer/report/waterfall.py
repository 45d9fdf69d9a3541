"""Draw where a turn's time went: on one line for a list, or whole with a row per stretch.

An open stretch is drawn to the horizon and has the word *open* beside it. Nothing is drawn beyond the horizon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.describe import duration_words, instant_words
from turnscope_analyzer.report.layout import NARROWEST, UNICODE, Glyphs, Style, bar, columns, cut, fit
from turnscope_analyzer.report.path import Segment, Span, end_of, is_open, span_of, time_path

if TYPE_CHECKING:
    from turnscope_analyzer.model import Stretch, Verdict

MAX_ROWS: Final = 200
"""Stretches that one waterfall draws; of a longer turn the middle is left out and said to be."""

_MIN_BAR, _MAX_BAR = 6, 40
"""Columns that the bars of a one-line path share; phases are summed up before their bars get fewer."""


def render_path(verdict: Verdict, style: Style, indent: str = "  ") -> str:
    """Draw the turn's time on one line: ``accepted 12 ms → upstream_sent 6 min 11 s █████ …open``.

    What does not fit is summed up where it stands: ``…3 more 210 ms``. The phase that is open, or else the
    longest, is always named. Returns: "" for a turn of which no time is known.
    """
    path = time_path(verdict)
    if not path:
        return ""
    room = style.width - columns(indent)
    longest_first = sorted(range(len(path)), key=lambda i: (path[i].open, path[i].length_ns), reverse=True)
    shown = {longest_first[0]}
    for index in longest_first[1:]:
        if columns(_path_text(path, shown | {index}, style, 0)) > room - _MIN_BAR:
            break
        shown.add(index)
    spare = room - columns(_path_text(path, shown, style, 0)) - 2 * len(shown)  # a space and a part of a block each
    line = _path_text(path, shown, style, max(min(spare, _MAX_BAR), 0))
    return indent + cut(line, room, style.glyphs.ellipsis)


def _path_text(path: list[Segment], shown: set[int], style: Style, bar_columns: int) -> str:
    """Join the *shown* segments with bars that share *bar_columns*, and sum up the others where they stand."""
    total_ns = sum(path[index].length_ns for index in shown) or 1
    parts: list[str] = []
    hidden: list[Segment] = []
    for index, segment in enumerate(path):
        if index not in shown:
            hidden.append(segment)
            continue
        parts += _summed_up(hidden, style.glyphs)
        hidden = []
        parts.append(_segment_text(segment, bar_columns * segment.length_ns / total_ns, style))
    parts += _summed_up(hidden, style.glyphs)
    return f" {style.glyphs.arrow} ".join(parts)


def _segment_text(segment: Segment, cells: float, style: Style) -> str:
    words = [style.clean(segment.phase), duration_words(segment.length_ns)]
    if drawn := bar(cells, style.glyphs):
        words.append(drawn)
    if segment.open:
        words.append(f"{style.glyphs.ellipsis}open")
    return " ".join(words)


def _summed_up(hidden: list[Segment], glyphs: Glyphs) -> list[str]:
    if not hidden:
        return []
    length = duration_words(sum(segment.length_ns for segment in hidden))
    return [f"{glyphs.ellipsis}{len(hidden)} more {length}"]


def render_waterfall(verdict: Verdict, width: int, glyphs: Glyphs = UNICODE) -> str:
    """Draw a whole turn: a row per stretch with its lane, phase, start, length and bar.

    Args:
        verdict: The turn; its stretches are drawn in the order in which they began.
        width: Columns that a line may take, at least ``NARROWEST``.
        glyphs: The signs to draw with.

    Returns: Lines, each ended by a newline; a turn without stretches says that nothing is known of its time.
    """
    style = Style(max(width, NARROWEST), glyphs)
    span = span_of(verdict)
    if span is None:
        return f"{style.cut('no stretch of this turn is on record')}\n"
    stretches = sorted(verdict.stretches, key=lambda stretch: stretch.from_ns)
    rows = [_HEADER, *(_row(stretch, span, style) for stretch in stretches)]
    widths = _widths(rows, style)
    lines = [*style.flow(*_title(verdict, span), rest="  "), _line(_HEADER, "", widths, style)]
    for row, stretch in _bounded(list(zip(rows[1:], stretches, strict=True))):
        lines.append(_line(row, _drawn(stretch, span, widths.bar, style.glyphs), widths, style))
        if stretch.detail:
            lines.append(style.cut(f"{' ' * (widths.lane + 1)}{stretch.detail}"))
    if len(stretches) > MAX_ROWS:
        lines.append(style.cut(f"{len(stretches) - MAX_ROWS:,} stretches in the middle of the turn are not drawn"))
    return "".join(f"{line.rstrip()}\n" for line in lines)


class _Row(NamedTuple):
    """The words of one row of the full waterfall, fit to be printed."""

    lane: str
    phase: str
    start: str
    lasts: str


class _Widths(NamedTuple):
    """The columns of each part of a row; ``bar`` takes what the words leave."""

    lane: int
    phase: int
    start: int
    lasts: int
    bar: int


_HEADER: Final = _Row("lane", "phase", "start", "lasts")


def _title(verdict: Verdict, span: Span) -> tuple[str, ...]:
    open_to = " to the horizon" if any(map(is_open, verdict.stretches)) else ""
    return (
        f"turn {verdict.turn_id}",
        f"session {verdict.session_id}" if verdict.session_id else "",
        "" if verdict.accepted_ns is None else f"accepted {instant_words(verdict.accepted_ns)}",
        f"{duration_words(span.length_ns)}{open_to}",
    )


def _row(stretch: Stretch, span: Span, style: Style) -> _Row:
    start = f"+{duration_words(stretch.from_ns - span.from_ns)}"
    lasts = duration_words(end_of(stretch, span) - stretch.from_ns)
    return _Row(style.clean(stretch.lane), style.clean(stretch.phase), start, lasts)


def _widths(rows: list[_Row], style: Style) -> _Widths:
    lane = min(max(columns(row.lane) for row in rows), style.width // 5)
    phase = min(max(columns(row.phase) for row in rows), style.width // 4)
    start = max(len(row.start) for row in rows)
    lasts = max(len(row.lasts) for row in rows)
    return _Widths(lane, phase, start, lasts, style.width - lane - phase - start - lasts - 4)


def _line(row: _Row, drawn: str, widths: _Widths, style: Style) -> str:
    lane = fit(row.lane, widths.lane, style.glyphs.ellipsis)
    phase = fit(row.phase, widths.phase, style.glyphs.ellipsis)
    words = f"{lane} {phase} {row.start:>{widths.start}} {row.lasts:>{widths.lasts}} {drawn}"
    return cut(words.rstrip(), style.width, style.glyphs.ellipsis)


def _bounded(rows: list[tuple[_Row, Stretch]]) -> list[tuple[_Row, Stretch]]:
    """Leave out the middle of a long turn: how it began and where it stands say most."""
    if len(rows) <= MAX_ROWS:
        return rows
    return rows[: MAX_ROWS // 2] + rows[-(MAX_ROWS // 2) :]


def _drawn(stretch: Stretch, span: Span, width: int, glyphs: Glyphs) -> str:
    """Return the bar at its place on the time axis, with *open* in words behind an open one."""
    mark = f" {glyphs.ellipsis}open"
    room = max(width - len(mark), 0)
    scale = room / span.length_ns if span.length_ns else 0.0
    left = min(int((stretch.from_ns - span.from_ns) * scale), max(room - 1, 0))
    cells = min((end_of(stretch, span) - stretch.from_ns) * scale, room - left)
    drawn = bar(cells, glyphs) or glyphs.blocks[1][:room]
    return " " * left + drawn + (mark if is_open(stretch) else "")
