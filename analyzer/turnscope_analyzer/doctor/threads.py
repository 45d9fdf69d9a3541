"""What the sizes of threads mean: too large, full of images, compacted in vain, or about to be.

Source of the limits: what people reported of threads that could not be opened or compacted any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.context.growth import RECENT_TURNS
from turnscope_analyzer.context.measure import COMPACTED, Share
from turnscope_analyzer.doctor.diagnosis import diagnose
from turnscope_analyzer.model import Evidence
from turnscope_analyzer.sources.codex.tokens import LIMIT_PER_MILLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from turnscope_analyzer.context.growth import Forecast
    from turnscope_analyzer.context.measure import ThreadSize
    from turnscope_analyzer.doctor.codes import Severity
    from turnscope_analyzer.doctor.diagnosis import Diagnosis
    from turnscope_analyzer.model import Value, Verdict

MB: Final = 1_000_000

LARGE_BYTES: Final = 50 * MB
"""From here on clients freeze when they open the thread."""

HUGE_BYTES: Final = 300 * MB
"""From here on clients have died of it."""

LONG_LINE_BYTES: Final = 5 * MB
HUGE_LINE_BYTES: Final = 100 * MB

MANY_IMAGE_BYTES: Final = 10 * MB
"""So much of images in a thread is worth to be taken out."""

SOON_TURNS: Final = 10
"""A compaction that fails within so many turns is a risk now."""

LOOP: Final = 3
"""So many compactions in a row that bought nothing are a loop."""


def examine(sizes: Iterable[ThreadSize], failed: Iterable[Verdict]) -> Iterator[Diagnosis]:
    """Yield what is wrong with each thread.

    Args:
        sizes: The threads, measured.
        failed: Verdicts on turns that were the last of their thread, and whose compaction failed.
    """
    of_thread = {verdict.session_id: verdict for verdict in failed}
    for size in sizes:
        failure = of_thread.pop(size.thread_id or "", None)
        yield from _oversized(size)
        yield from _risk(size, failure)
        yield from _loop(size)
        yield from _images(size)
        yield from _late(size)
    for verdict in of_thread.values():
        yield _failed(verdict, "", verdict.evidence, {})


def _oversized(size: ThreadSize) -> Iterator[Diagnosis]:
    line_bytes = size.longest.length if size.longest is not None else 0
    if size.bytes < LARGE_BYTES and line_bytes < LONG_LINE_BYTES:
        return
    severity: Severity = "error" if size.bytes >= HUGE_BYTES or line_bytes >= HUGE_LINE_BYTES else "warning"
    yield diagnose(
        "OVERSIZED_THREAD",
        f"{_name(size)} has {_mb(size.bytes)} in {size.records:,} records: {_shares(size)}{_outlook(size)}",
        _records(size),
        severity=severity,
        session_id=size.thread_id or "",
        repair=f"`turnscope rescue {size.path}` takes images and large tool outputs out, and keeps them beside it.",
        figures=figures(size),
    )


def _risk(size: ThreadSize, failure: Verdict | None) -> Iterator[Diagnosis]:
    forecast = size.growth.forecast(LIMIT_PER_MILLE)
    if failure is not None:
        yield _failed(failure, _outlook(size), (*failure.evidence, *_records(size)), figures(size))
    elif forecast.fails_in is not None and forecast.fails_in <= SOON_TURNS:
        yield diagnose(
            "COMPACTION_RISK",
            f"{_name(size)}{_outlook(size).replace('; ', ' ', 1)}",
            _records(size),
            session_id=size.thread_id or "",
            figures=figures(size),
        )


def _failed(verdict: Verdict, outlook: str, records: Iterable[Evidence], numbers: dict[str, Value]) -> Diagnosis:
    return diagnose(
        "COMPACTION_RISK",
        f"the compaction of the last turn, {verdict.turn_id}, did not come to an end: {verdict.summary}{outlook}",
        records,
        severity="error" if verdict.state == "failed" else "warning",
        session_id=verdict.session_id,
        turn_id=verdict.turn_id,
        figures=numbers,
    )


def _loop(size: ThreadSize) -> Iterator[Diagnosis]:
    growth = size.growth
    if growth.in_a_row < LOOP:
        return
    last = list(growth.recent)[-LOOP:]
    yield diagnose(
        "COMPACTION_LOOP",
        f"{_name(size)} was compacted {growth.compactions} times, the last {growth.in_a_row + 1} of them in a row",
        [
            Evidence(str(size.path), one.offset, f"compacted in turn {one.turn}, {one.requests_before} responses later")
            for one in last
        ],
        session_id=size.thread_id or "",
        figures=figures(size),
    )


def _images(size: ThreadSize) -> Iterator[Diagnosis]:
    images = size.images
    kept = size.kinds.get(COMPACTED, Share()).image_bytes
    copies = images.count - images.different
    if images.bytes < MANY_IMAGE_BYTES and not (kept and copies > images.different and images.bytes >= MB):
        return
    said = f"{images.count:,} images, {images.different:,} of them different, take {_mb(images.bytes)}"
    said += f"; {_mb(images.live_bytes)} of them go into every request"
    yield diagnose(
        "INLINE_IMAGES",
        f"{_name(size)}: {said}",
        _records(size),
        session_id=size.thread_id or "",
        repair=f"`turnscope rescue {size.path}`.",
        figures=figures(size),
    )


def _late(size: ThreadSize) -> Iterator[Diagnosis]:
    if size.late:
        turns = sorted({turn_id for _, turn_id in size.late})
        yield diagnose(
            "TERMINAL_BUT_STREAMING",
            f"{_name(size)} goes on with turn {', '.join(turns)} behind the record that says it is complete",
            [Evidence(str(size.path), offset, f"a record of turn {turn_id}") for offset, turn_id in size.late],
            session_id=size.thread_id or "",
        )


def figures(size: ThreadSize) -> dict[str, Value]:
    """Return what was measured, as JSON gives it; None for what is not on file or not in sight."""
    forecast = size.growth.forecast(LIMIT_PER_MILLE)
    growth, images, longest = size.growth, size.images, size.longest
    return {
        "bytes": size.bytes,
        "records": size.records,
        "longest_record_bytes": longest.length if longest is not None else None,
        **{f"bytes_of_{kind.replace(' ', '_').replace(chr(39), '')}": share.bytes for kind, share in _ordered(size)},
        "images": images.count,
        "different_images": images.different,
        "image_bytes": images.bytes,
        "image_bytes_in_each_request": images.live_bytes,
        "tokens": growth.tokens,
        "window": growth.window,
        "turns": growth.turns,
        "compactions": growth.compactions,
        "growth_tokens_a_turn": forecast.growth_tokens,
        "compacts_in_turns": forecast.compacts_in,
        "fails_in_turns": forecast.fails_in,
    }


def _records(size: ThreadSize) -> list[Evidence]:
    records = [Evidence(str(size.path), None, f"the thread's file, {size.bytes:,} bytes", {"bytes": size.bytes})]
    if (longest := size.longest) is not None:
        said = f"its longest record, {longest.length:,} bytes of {longest.kind}"
        records.append(Evidence(str(size.path), longest.offset, said, {"bytes": longest.length}))
    return records


def _shares(size: ThreadSize) -> str:
    """Say what takes the most: ``tool outputs 38 %, compacted histories 22 %, images in all of them 97 %``."""
    whole = sum(share.bytes for share in size.kinds.values()) or 1
    said = [f"{kind} {share.bytes * 100 // whole} %" for kind, share in _ordered(size) if share.bytes * 100 >= whole]
    if size.images.bytes * 100 >= whole:
        said.append(f"images in all of them {size.images.bytes * 100 // whole} %")
    return ", ".join(said)


def _ordered(size: ThreadSize) -> list[tuple[str, Share]]:
    return sorted(size.kinds.items(), key=lambda pair: (-pair[1].bytes, pair[0]))


def _outlook(size: ThreadSize) -> str:
    """Say how full the context is and what is in sight, with the sign that joins it; "" where nothing is known."""
    growth = size.growth
    if growth.tokens is None or not growth.window:
        return ""
    said = f"; {growth.tokens:,} of {growth.window:,} tokens ({growth.tokens * 100 // growth.window} %)"
    return said + _in_sight(growth.forecast(LIMIT_PER_MILLE))


def _in_sight(forecast: Forecast) -> str:
    if not forecast.growth_tokens:
        return ""
    said = f", {forecast.growth_tokens:,} more each turn (the last {RECENT_TURNS})"
    if forecast.compacts_in is not None:
        said += f"; at the present growth it is compacted in about {_turns(forecast.compacts_in)}"
    if forecast.fails_in is not None:
        said += f", and compaction fails in about {_turns(forecast.fails_in)}"
    return said


def _turns(count: int) -> str:
    return "1 turn" if count == 1 else f"{count} turns"


def _name(size: ThreadSize) -> str:
    return f"thread {size.thread_id}" if size.thread_id else f"the thread in {size.path.name}"


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / MB:,.1f} MB"
