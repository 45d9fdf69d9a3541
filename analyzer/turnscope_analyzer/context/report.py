"""Print where a thread's context comes from: by origin, turn by turn, what stands there twice, what could go.

Every line fits the width, and nothing from a file reaches the terminal unescaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.context.parts import BYTES_A_TOKEN, LABELS, ORIGINS, tokens_of
from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.report.layout import bar
from turnscope_analyzer.report.wording import counted, size_words
from turnscope_analyzer.sources.codex.tokens import LIMIT_PER_MILLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.context.breakdown import Amount, Breakdown, TurnShare
    from turnscope_analyzer.report.layout import Style

MAX_TOOLS: Final = 10
MAX_COPIES: Final = 10
_BAR_COLUMNS: Final = 10
_INDENT: Final = "  "


def render(broken: Breakdown, style: Style, turns: int) -> str:
    """Return the whole report as text, with the last *turns* turns one by one."""
    sections = [
        list(_head(broken, style)),
        [style.cut(line) for line in _origins(broken, style)],
        [style.cut(line) for line in _tools(broken)],
        [style.cut(line) for line in _turns(broken, style, turns)],
        [style.cut(line) for line in _copies(broken)],
        list(_reclaimable(broken, style)),
        list(_rejects(broken, style)),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _head(broken: Breakdown, style: Style) -> Iterator[str]:
    size, growth = broken.size, broken.size.growth
    yield from style.flow(
        f"thread {size.thread_id or 'without an id'}",
        f"{size_words(size.bytes)} in {counted(size.records, 'record')}",
        counted(growth.turns, "turn"),
        f"compacted {counted(growth.compactions, 'time')}" if growth.compactions else "",
        rest=_INDENT,
    )
    estimate = sum(amount.tokens for amount in broken.live.values())
    said = f"about {estimate:,} tokens by what is on file"
    if growth.tokens is not None and growth.window:
        share = growth.tokens * 100 // growth.window
        yield from style.wrap(
            f"the next request: {growth.tokens:,} of {growth.window:,} tokens ({share} %) as the provider counted "
            f"the last one, {said}; what is not on file, as the descriptions of tools, is in the first figure only",
            _INDENT,
            _INDENT,
        )
    else:
        yield from style.wrap(f"the next request: {said}; the provider's count is not on file", _INDENT, _INDENT)
    forecast = growth.forecast(LIMIT_PER_MILLE)
    if forecast.compacts_in is not None:
        yield from style.wrap(f"compacted in about {counted(forecast.compacts_in, 'turn')}", _INDENT, _INDENT)
    if forecast.fails_in is not None:
        yield from style.wrap(f"compaction fails in about {counted(forecast.fails_in, 'turn')}", _INDENT, _INDENT)


def _origins(broken: Breakdown, style: Style) -> Iterator[str]:
    live = broken.live
    whole = sum(amount.tokens for amount in live.values())
    yield f"{'where it comes from':<24}{'next request':>13}{'tokens':>11}{'bytes':>10}{'records':>9}"
    for origin in ORIGINS:
        amount = broken.parts.get(origin)
        if amount is None:
            continue
        now = live[origin].tokens if origin in live else 0
        drawn = bar(now / whole * _BAR_COLUMNS if whole else 0, style.glyphs)
        yield f"{_INDENT}{LABELS[origin]:<22}{now:>13,}{_columns(amount)} {drawn}".rstrip()
    yield f"tokens are estimates: {BYTES_A_TOKEN} bytes a token, {tokens_of(0, 1):,} an image"


def _tools(broken: Breakdown) -> Iterator[str]:
    largest = sorted(broken.tools.items(), key=lambda item: (-item[1].bytes, item[0]))
    if largest:
        yield f"{'tool outputs by tool':<37}{'tokens':>11}{'bytes':>10}{'records':>9}"
    for tool, amount in largest[:MAX_TOOLS]:
        yield f"{_INDENT}{tool[:34]:<35}{_columns(amount)}"
    if len(largest) > MAX_TOOLS:
        yield f"{_INDENT}and {len(largest) - MAX_TOOLS:,} more in --json"


def _columns(amount: Amount) -> str:
    return f"{amount.tokens:>11,}{size_words(amount.bytes):>10}{amount.records:>9,}"


def _turns(broken: Breakdown, style: Style, count: int) -> Iterator[str]:
    turns = [turn for turn in broken.turns if turn.number]
    shown = turns[-count:] if count else []
    if not shown:
        return
    most = max((turn.tokens or 0 for turn in shown), default=0)
    yield f"{'turn':>6}  {'began':<20}{'context':>11}{'tokens':>10}{'bytes':>10}"
    if len(turns) > len(shown):
        yield f"{_INDENT}the last {len(shown):,} of {counted(len(turns), 'turn')}"
    for turn in shown:
        yield _turn(turn, most, style)


def _turn(turn: TurnShare, most: int, style: Style) -> str:
    n_bytes = sum(amount.bytes for amount in turn.parts.values())
    tokens = sum(amount.tokens for amount in turn.parts.values())
    began = instant_words(turn.began_ns) if turn.began_ns is not None else "?"
    context = f"{turn.tokens:,}" if turn.tokens is not None else "?"
    drawn = bar((turn.tokens or 0) / most * _BAR_COLUMNS if most else 0, style.glyphs)
    note = " compacted" if turn.compactions else ""
    return f"{turn.number:>6}  {began:<20}{context:>11}{tokens:>10,}{size_words(n_bytes):>10} {drawn}{note}".rstrip()


def _copies(broken: Breakdown) -> Iterator[str]:
    if broken.copies:
        spare = sum(copy.spare_bytes for copy in broken.copies)
        yield f"the same payload more than once: {size_words(spare)} spare"
    for copy in broken.copies[:MAX_COPIES]:
        yield f"{_INDENT}{copy.count:>4,} x {size_words(copy.bytes):>10}  {copy.what}, sha256 {copy.digest[:12]}"
    if len(broken.copies) > MAX_COPIES:
        yield f"{_INDENT}and {len(broken.copies) - MAX_COPIES:,} more in --json"


def _reclaimable(broken: Breakdown, style: Style) -> Iterator[str]:
    found, images = broken.found, broken.size.images
    if not len(found.edits):
        yield from style.wrap("Nothing that `turnscope rescue` would take out.", "", _INDENT)
        return
    taken = ", ".join(f"{found.count[what]:,} x {what} {size_words(n)}" for what, n in found.taken.most_common())
    whole = found.stamp.size_bytes
    text = f"{size_words(whole - found.size_after)} of {size_words(whole)} could be taken out: {taken}"
    yield from style.wrap(text, "", _INDENT)
    if images.live:
        said = f"{counted(images.live, 'image')}, {size_words(images.live_bytes)}, are uploaded with every request"
        yield from style.wrap(said, _INDENT, _INDENT)
    yield from style.wrap(f"turnscope rescue {broken.size.path}", _INDENT, _INDENT)


def _rejects(broken: Breakdown, style: Style) -> Iterator[str]:
    rejects = broken.size.rejects
    if rejects:
        said = f"{counted(len(rejects), 'record')} could not be read, the first at byte {rejects[0].offset:,}: "
        yield from style.wrap(said + rejects[0].reason, "", _INDENT)
