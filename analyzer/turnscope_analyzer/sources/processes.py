"""What a journal tells of its process: does it live, how far do its records reach, when did it stand still."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, Final

from turnscope.errors import JournalFormatError
from turnscope.life import ENDED, RUNNING, read_life, slot_offset
from turnscope.phases import PHASE
from turnscope.process import fate_of
from turnscope_analyzer.model import Gap, Mark, Process
from turnscope_analyzer.sources.damage import FURTHEST_NS
from turnscope_analyzer.sources.segments import notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from turnscope.life import Life, SlotFigures
    from turnscope_analyzer.model import Fate, Value
    from turnscope_analyzer.sources.segments import Segment
    from turnscope_analyzer.tables import Row

_FRESH_NS: Final = 15_000_000_000
"""A pulse that is younger than this, on a host that cannot be asked, is of a process that lives."""

_FATE_WORDS: Final = {
    "running": "alive",
    "ended": "gone, and said goodbye",
    "killed": "gone, and said no goodbye",
    "unknown": "not known to be alive or gone",
}


class JournalProcess:
    """One process by the header of its segments and by its life file, if that is there."""

    def __init__(self, process_id: str, segments: Sequence[Segment]) -> None:
        self.segments = segments
        # The header of a damaged segment is put together from a mark; another segment may have the real one.
        self.header: dict[str, Any] = max((s.header for s in segments), key=lambda header: "turnscope" in header)
        self.process_id = process_id
        self.life_path = segments[0].path.parent / f"{self.process_id}.life"
        self.life = None
        with suppress(OSError, ValueError, JournalFormatError):
            self.life = _undamaged(read_life(self.life_path))
        self.wall_minus_mono_ns: int = self.header["t"] - self.header["m"]

    def budgets(self) -> dict[str, tuple[float, float]]:
        """Return the limits that it was configured with, in seconds by phase."""
        given = self.header.get("budgets")
        if not isinstance(given, dict):
            return {}
        return {
            phase: (float(pair[0]), float(pair[1]))
            for phase, pair in given.items()
            if phase in PHASE and isinstance(pair, list) and len(pair) == 2 and all(map(_is_limit, pair))
        }

    def slots(self) -> list[SlotFigures]:
        """Return the live figures of its open phases."""
        return list(self.life.slots.values()) if self.life else []

    def live_figures(self, seq: int, slot: Value) -> dict[str, Value]:
        """Return the live figures of the phase that mark *seq* opened, and where they stand; empty when it has none."""
        figures = self.life.slots.get(slot) if self.life and isinstance(slot, int) else None
        if figures is None or figures.seq != seq:
            return {}
        return {
            "live_chunks": figures.chunks,
            "live_keepalives": figures.keepalives,
            "life_file": str(self.life_path),
            "life_offset": slot_offset(int(slot or 0)),
        }

    def mark(self, record: dict[str, Any], segment: Segment, offset: int) -> Mark:
        """Return the mark that stands at *offset* of *segment*, with the live figures of its phase."""
        attrs: dict[str, Value] = record.get("attrs") or {}
        return Mark(
            turn_id=record["turn"],
            session_id=record.get("session") or "",
            lane=record["lane"],
            phase=record["phase"],
            at_ns=record["m"] + self.wall_minus_mono_ns,
            wall_ns=record["t"],
            seq=record["seq"],
            process_id=record["proc"],
            file=str(segment.path),
            offset=offset,
            attrs=attrs | self.live_figures(record["seq"], attrs.get("slot")),
        )

    def facts(self, last_m: int | None, now_ns: int | None, *, stood_still: bool) -> Process:
        """Return what the verdicts need.

        Args:
            last_m: Monotonic time of its last mark, None when it has none.
            now_ns: The horizon that the user gave, None to find it out.
            stood_still: Its segments tell of times in which it did not run, or of a clock that was set.
        """
        fate = self.fate()
        horizon_ns, why = self._horizon(fate, last_m, now_ns)
        gaps, steps = self._interruptions() if stood_still else ((), 0)
        return Process(
            process_id=self.process_id,
            source="journal",
            fate=fate,
            horizon_ns=horizon_ns,
            horizon_why=why,
            file=str(self.life_path if self.life else self.segments[-1].path),
            budgets=self.budgets(),
            gaps=gaps,
            clock_steps=steps,
            drops=self.life.drops if self.life else {},
        )

    def fate(self) -> Fate:
        """Return what became of it."""
        life = self.life
        if life and life.fate != RUNNING:
            return "ended" if life.fate == ENDED else "killed"
        pulse_ns = life.pulse_wall_ns if life else None
        fate = fate_of(self.header, pulse_ns)
        if fate == "unknown" and pulse_ns and time.time_ns() - pulse_ns < _FRESH_NS:
            return "running"
        return fate

    def _horizon(self, fate: Fate, last_m: int | None, now_ns: int | None) -> tuple[int, str]:
        if now_ns is not None:
            return now_ns, f"judged as of the time that was given; the process is {_FATE_WORDS[fate]}"
        if fate == "running":
            pid = self.header.get("pid")
            return time.monotonic_ns() + self.wall_minus_mono_ns, f"process {pid} is alive on this host"
        proofs = [(self.header["m"], "its first record")]
        if last_m is not None:
            proofs.append((last_m, "its last mark"))
        if self.life and self.life.pulse_mono_ns:
            proofs.append((self.life.pulse_mono_ns, "its last pulse"))
        streamed = (max(slot.progress_at or 0, slot.keepalive_at or 0) for slot in self.slots())
        proofs += [(at, "the last that came on a stream") for at in streamed]
        last, proof = max(proofs)
        return last + self.wall_minus_mono_ns, f"the process is {_FATE_WORDS[fate]}; its last proof of life is {proof}"

    def _interruptions(self) -> tuple[tuple[Gap, ...], int]:
        """Return the times in which it did not run while its clock went on, and how often its wall clock was set.

        A suspended host stops the monotonic clock as well: there is nothing to subtract.
        """
        gaps, steps = [], 0
        for segment in self.segments:
            for note in notes(segment):
                if note.get("turnscope") == "gap" and note.get("kind") == "frozen":
                    begin, end = note.get("from_m"), note.get("until_m")
                    if isinstance(begin, int) and isinstance(end, int) and 0 <= begin <= end < FURTHEST_NS:
                        offset = self.wall_minus_mono_ns
                        gaps.append(Gap(begin + offset, end + offset, "frozen"))
                steps += note.get("turnscope") == "step"
        return tuple(gaps), steps


def clock_rows(processes: Iterable[JournalProcess]) -> Iterator[Row]:
    """Yield the rows of ``clocks``."""
    for process in processes:
        yield {"process_id": process.process_id, "wall_minus_mono_ns": process.wall_minus_mono_ns}


def slot_rows(processes: Iterable[JournalProcess]) -> Iterator[Row]:
    """Yield the rows of ``slots``."""
    for process in processes:
        for slot in process.slots():
            yield {
                "process_id": process.process_id,
                "seq": slot.seq,
                "chunks": slot.chunks,
                "progress_at": slot.progress_at,
                "keepalives": slot.keepalives,
                "cursor": slot.cursor,
            }


def _undamaged(life: Life) -> Life:
    """Return *life* without figures that cannot be: they are times and counts, which are all far below."""
    slots = {index: slot for index, slot in life.slots.items() if max(filter(None, astuple(slot))) < FURTHEST_NS}
    pulsed = (life.pulse_mono_ns or 0) < FURTHEST_NS
    return replace(life, slots=slots, pulse_mono_ns=life.pulse_mono_ns if pulsed else None)


def _is_limit(seconds: object) -> bool:
    return isinstance(seconds, (int, float)) and 0 < seconds < FURTHEST_NS / 1e9
