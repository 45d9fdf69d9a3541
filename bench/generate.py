"""A journal as busy gateways leave it, of any size, with verdicts that are known: `python -m bench.generate`.

It is written after docs/journal-format.md and not with the recorder, which runs in real time: headers, 8 MiB
segments with their carry, life files, `end` notes, and in every fourth process a kill with its NUL tail. The
same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import socket
import struct
import uuid
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

from bench.shapes import KINDS, LAST_CHUNK, Attrs, steps
from turnscope.phases import PHASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Mix = Literal["chat", "agentic"]

VERSION = 3
"""Goes up when other bytes are written, so that older data is not taken for it."""

SEGMENT_BYTES = 8 << 20
MARKS_PER_PROCESS = 250_000
MARKS_PER_TURN: Mapping[Mix, int] = {"chat": 10, "agentic": 100}
START_NS = 1_795_223_156_675_000_000
BOOT_NS = 81_342_000_000_000
HOUR_NS = 3_600 * 10**9
NO_SUCH_PID = 4_194_999
"""Above the highest pid that Linux gives."""

KILLED_EVERY = 4
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Mark(NamedTuple):
    """One mark before it has a number; sorts by time."""

    since_ns: int
    turn: str
    order: int
    session: str
    lane: str
    phase: str
    attrs: Attrs


class Segments:
    """The files of one process; each begins with the header and with the carry of the turns that are open."""

    def __init__(self, folder: Path, header: dict[str, object], segment_bytes: int) -> None:
        self._folder, self._header, self._limit = folder, header, segment_bytes
        self._number = 0
        self._lines: list[bytes] = []
        self._size = 0
        self.written_bytes = 0
        self.open: dict[str, dict[str, bytes]] = {}
        self._begin()

    def _begin(self) -> None:
        self._number += 1
        self._lines = [orjson.dumps({**self._header, "segment": self._number}) + b"\n"]
        for lanes in self.open.values():
            self._lines.extend(dict.fromkeys(lanes.values()))
        if carried := len(self._lines) - 1:
            note = {"turnscope": "carried", "proc": self._header["proc"], "lines": carried}
            self._lines.append(orjson.dumps(note) + b"\n")
        self._size = sum(map(len, self._lines))

    def add(self, line: bytes) -> None:
        """Append *line*, in a new segment if this one has no room for it."""
        if self._size + len(line) > self._limit:
            self.close()
            self._begin()
        self._lines.append(line)
        self._size += len(line)

    def close(self, *, killed: bool = False) -> None:
        """Write the segment: cut to its length, or as a kill leaves it."""
        name = f"20261121T045300Z-{self._header['proc']}-{self._number:06d}.jsonl"
        tail = bytes(self._limit - self._size) if killed else b""
        (self._folder / name).write_bytes(b"".join([*self._lines, tail]))
        self.written_bytes += self._size


def base36(number: int, digits: int) -> str:
    """Return *number* with that many base-36 digits."""
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text


def marks_of(rng: random.Random, process: int, turns: int, mix: Mix) -> tuple[list[Mark], Counter[str]]:
    """Return the marks of one process in the order of their times, and how many turns of each kind they are."""
    names = [kind.name for kind in KINDS]
    weights = [getattr(kind, mix) for kind in KINDS]
    sessions = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(max(1, turns // 12))]
    kinds: Counter[str] = Counter()
    marks: list[Mark] = []
    for number in range(turns):
        kind = rng.choices(names, weights)[0]
        kinds[kind] += 1
        # One turn a second and a half: about twenty are under way at a time, so their lines stand between each other.
        at_ns = number * 1_500_000_000 + rng.randrange(1_500_000_000)
        turn = base36((START_NS + at_ns) // 1_000_000, 8) + base36(process * 40_000 + rng.randrange(40_000), 4)
        session = rng.choice(sessions)
        for order, step in enumerate(steps(kind, rng)):
            at_ns += int(step.after_s * 1e9)
            if LAST_CHUNK in step.attrs:
                step.attrs[LAST_CHUNK] = BOOT_NS + max(at_ns - step.attrs[LAST_CHUNK], marks[-1].since_ns)
            marks.append(Mark(at_ns, turn, order, session, step.lane, step.phase, step.attrs))
    marks.sort(key=lambda mark: mark[:3])
    return marks, kinds


def mark_lines(marks: list[Mark], process_id: str) -> Iterator[tuple[Mark, bytes]]:
    """Yield each mark with its line."""
    for seq, mark in enumerate(marks, start=1):
        line: dict[str, object] = {
            "turn": mark.turn,
            "session": mark.session,
            "lane": mark.lane,
            "phase": mark.phase,
            "t": START_NS + mark.since_ns,
            "m": BOOT_NS + mark.since_ns,
            "seq": seq,
            "proc": process_id,
        }
        if mark.attrs:
            line["attrs"] = mark.attrs
        yield mark, orjson.dumps(line) + b"\n"


def follow(open_turns: dict[str, dict[str, bytes]], mark: Mark, line: bytes) -> None:
    """Keep what a new segment would carry: `accepted`, and the latest mark of each open lane of each open turn."""
    if mark.phase == "accepted":
        open_turns[mark.turn] = {"accepted": line}
    elif mark.turn not in open_turns:
        return
    elif not PHASE[mark.phase].terminal:
        open_turns[mark.turn][mark.lane] = line
    elif mark.lane == "turn":
        del open_turns[mark.turn]
    else:
        open_turns[mark.turn].pop(mark.lane, None)


def write_process(folder: Path, mix: Mix, segment_bytes: int, process: int, turns: int) -> dict[str, object]:
    """Write the files of one process and return what is in them."""
    rng = random.Random(f"{VERSION}/{mix}/{process}/{turns}")
    process_id = f"{rng.getrandbits(48):012x}"
    killed = process % KILLED_EVERY == KILLED_EVERY - 1
    marks, kinds = marks_of(rng, process, turns, mix)
    segments = Segments(folder, header_of(process_id, rng), segment_bytes)
    for mark, line in mark_lines(marks, process_id):
        segments.add(line)
        follow(segments.open, mark, line)
    until_ns = marks[-1].since_ns + HOUR_NS
    if not killed:
        segments.add(end_note(process_id, until_ns, list(segments.open)))
    segments.close(killed=killed)
    write_life(folder, process_id, until_ns, ended=not killed)
    return {"marks": len(marks), "turns": turns, "bytes": segments.written_bytes, "kinds": kinds}


def header_of(process_id: str, rng: random.Random) -> dict[str, object]:
    """Return the header of a process on this host in an earlier boot: it is gone, whatever its pid."""
    return {
        "turnscope": "journal",
        "version": 1,
        "proc": process_id,
        "segment": 1,
        "t": START_NS,
        "m": BOOT_NS,
        "pid": NO_SUCH_PID,
        "pid_start": str(rng.randrange(1 << 24)),
        "host": socket.gethostname(),
        "boot": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "service": "bench",
        "sdk": "0.1.0",
        "budgets": {},
    }


def end_note(process_id: str, since_ns: int, open_turns: list[str]) -> bytes:
    """Return the line with which a process says goodbye; it names as many open turns as fit."""
    note = {
        "turnscope": "end",
        "proc": process_id,
        "t": START_NS + since_ns,
        "m": BOOT_NS + since_ns,
        "open": open_turns[-1000:],
        "drops": {},
    }
    return orjson.dumps(note) + b"\n"


def write_life(folder: Path, process_id: str, since_ns: int, *, ended: bool) -> None:
    """Write the life file: one pulse a second until *since_ns*, every slot free."""
    head = struct.pack(
        "<8s12s4x5Q",
        b"TSLIFE01",
        process_id.encode(),
        NO_SUCH_PID,
        since_ns // 10**9,
        START_NS + since_ns,
        BOOT_NS + since_ns,
        2 if ended else 1,
    )
    (folder / f"{process_id}.life").write_bytes(head.ljust(65_536, b"\0"))


def write_journal(
    folder: Path, marks: int, *, mix: Mix = "chat", processes: int, segment_bytes: int = SEGMENT_BYTES
) -> None:
    """Write about that many *marks* into *folder*, and into its ``manifest.json`` what they are and what is due."""
    turns = marks // MARKS_PER_TURN[mix] // processes
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        write = partial(write_process, folder, mix, segment_bytes)
        written = list(pool.map(write, range(processes), repeat(turns)))
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest(written), option=orjson.OPT_INDENT_2))


def manifest(written: list[dict[str, object]]) -> dict[str, object]:
    """Return the sums over all processes and the verdicts that are due."""
    kinds: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for one in written:
        kinds.update(one["kinds"])  # type: ignore[call-overload]  # a Counter by now, pickled as object
        sums.update({name: one[name] for name in ("marks", "turns", "bytes")})
    states: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for kind in KINDS:
        states[kind.state] += kinds[kind.name]
        if kind.cause:
            causes[kind.cause] += kinds[kind.name]
    return {"version": VERSION, "processes": len(written), **sums, "states": dict(states), "causes": dict(causes)}


def ready_journal(folder: Path, marks: int, mix: Mix = "chat") -> Path:
    """Return *folder* with a journal of that many marks: the one that is there, or a new one."""
    try:
        if orjson.loads((folder / "manifest.json").read_bytes())["version"] == VERSION:
            return folder
    except FileNotFoundError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    write_journal(folder, marks, mix=mix, processes=marks // MARKS_PER_PROCESS)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a journal of a given size.")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--marks", type=int, default=1_000_000)
    parser.add_argument("--mix", choices=MARKS_PER_TURN, default="chat")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--segment-bytes", type=int, default=SEGMENT_BYTES)
    given = parser.parse_args()
    write_journal(
        given.folder, given.marks, mix=given.mix, processes=given.processes, segment_bytes=given.segment_bytes
    )
