"""Where the context of a thread comes from: by origin, by tool and by turn, in all and in the next request.

What is in the next request is what has come since the last compaction, that compaction's history, and the
instructions that go with every request; what the user has rolled back is not.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.context.measure import measure
from turnscope_analyzer.context.parts import piece_of, text_bytes, tokens_of
from turnscope_analyzer.context.tools import result_of, text_of
from turnscope_analyzer.rescue.strings import LONG_BYTES
from turnscope_analyzer.rescue.survey import survey
from turnscope_analyzer.sources.codex.thread import turn_id_of
from turnscope_analyzer.sources.lines import CAP_BYTES
from turnscope_analyzer.sources.objects import count_of, word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from turnscope_analyzer.context.measure import Images, ThreadSize
    from turnscope_analyzer.context.parts import Origin, Piece
    from turnscope_analyzer.rescue.survey import Survey
    from turnscope_analyzer.sources.codex.records import Record

OTHER_TOOLS: Final = "other tools"
_MOST_TOOLS: Final = 100
_MOST_CALLS: Final = 10_000
_MOST_TEXTS: Final = 100_000
_HASHED: Final = frozenset({"user", "instructions", "tool_output"})
"""Origins of which the same text is found again."""


@dataclass(slots=True)
class Amount:
    """How much: records, bytes on file with pictures apart, bytes that a request carries, and pictures."""

    records: int = 0
    bytes: int = 0
    sent_bytes: int = 0
    images: int = 0

    @property
    def tokens(self) -> int:
        """About how many tokens that is in a request."""
        return tokens_of(self.sent_bytes, self.images)

    def add(self, n_bytes: int, sent_bytes: int, images: int = 0) -> None:
        """Count one record, or the pictures of one."""
        self.records += 1
        self.bytes += n_bytes
        self.sent_bytes += sent_bytes
        self.images += images


Amounts = dict["Origin", Amount]


@dataclass(slots=True)
class TurnShare:
    """What one turn has put there; number 0 is what stands before the first.

    ``live`` is what of it the next request carries. ``tokens`` is the context at its end as the provider counted it,
    None where it did not.
    """

    number: int
    turn_id: str | None = None
    began_ns: int | None = None
    parts: Amounts = field(default_factory=dict)
    live: Amounts = field(default_factory=dict)
    tokens: int | None = None
    compactions: int = 0


@dataclass(slots=True)
class Copy:
    """A payload that stands in the thread more than once: what it is, its bytes, how often, its hash."""

    what: str
    bytes: int
    count: int
    digest: str

    @property
    def spare_bytes(self) -> int:
        """What all but one of them take."""
        return self.bytes * (self.count - 1)


@dataclass(slots=True)
class Breakdown:
    """The context of one thread. ``tools`` are the tool outputs by tool; ``copies`` have the largest waste first."""

    size: ThreadSize
    found: Survey
    parts: Amounts
    tools: dict[str, Amount]
    turns: list[TurnShare]
    copies: list[Copy]

    @property
    def live(self) -> Amounts:
        """What the next request carries, by origin."""
        return total(turn.live for turn in self.turns)


def break_down(path: Path, progress: Callable[[int], None] = lambda _bytes: None) -> Breakdown:
    """Break the context of a thread down; *path* is a rollout that is not packed.

    Raises:
        OSError: The file cannot be opened or read. Bad content never raises; it is in ``size.rejects``.
    """
    listener = _Listener()
    size = measure(path, progress, listener.hear)
    found = survey(path)
    copies = sorted((*listener.copies(), *_large(found)), key=lambda copy: (-copy.spare_bytes, copy.digest))
    return Breakdown(size, found, total(turn.parts for turn in listener.turns), listener.tools, listener.turns, copies)


def total(shares: Iterable[Amounts]) -> Amounts:
    """Return the sum of several amounts by origin."""
    whole: Amounts = {}
    for share in shares:
        for origin, amount in share.items():
            _sum(whole.setdefault(origin, Amount()), amount)
    return whole


def _sum(into: Amount, amount: Amount) -> None:
    into.records += amount.records
    into.bytes += amount.bytes
    into.sent_bytes += amount.sent_bytes
    into.images += amount.images


def _large(found: Survey) -> list[Copy]:
    """Return the pictures and large outputs that stand there more than once."""
    counts = Counter((edit.what, edit.size_bytes, edit.sha256) for edit in found.edits)
    return [Copy(what, n_bytes, count, sha256) for (what, n_bytes, sha256), count in counts.items() if count > 1]


class _Listener:
    """Takes in the records of a thread as they are measured."""

    def __init__(self) -> None:
        self.turns = [TurnShare(0)]
        self.tools: dict[str, Amount] = {}
        self._tool_of: dict[str, str] = {}
        self._texts: dict[tuple[Origin, bytes], Copy] = {}
        self._has_meta = False

    def hear(self, size: ThreadSize, record: Record, images: Images) -> None:
        """Take the next record in."""
        turn = self._turn(size, record)
        piece = piece_of(record, images)
        if record.name == "session_meta":
            piece = piece._replace(sent_bytes=0) if self._has_meta else piece
            self._has_meta = True
        sent_images = images.count if piece.sent_bytes else 0
        if record.name == "compacted":
            for earlier in self.turns:
                earlier.live = {origin: one for origin, one in earlier.live.items() if earlier.number == 0}
            turn.compactions += 1
        elif record.name == "event_msg/thread_rolled_back":
            for undone in self._last(count_of(record.payload.get("num_turns")) or 0):
                undone.live = {}
        n_bytes = max(record.length - images.bytes, 0)
        self._add(turn, piece.origin, n_bytes, piece.sent_bytes)
        if images.count:
            self._add(turn, "image", min(images.bytes, record.length), 0, sent_images)
        self._tool(record, piece, n_bytes)
        if piece.origin in _HASHED and piece.sent_bytes >= LONG_BYTES and record.length <= CAP_BYTES:
            self._hash(piece.origin, record)

    def copies(self) -> list[Copy]:
        """Return the texts that stand there more than once."""
        return [copy for copy in self._texts.values() if copy.count > 1]

    def _turn(self, size: ThreadSize, record: Record) -> TurnShare:
        growth = size.growth
        if growth.turns != self.turns[-1].number:
            self.turns.append(TurnShare(growth.turns, turn_id_of(record.payload), record.wall_ns))
        turn = self.turns[-1]
        turn.tokens = growth.tokens
        return turn

    def _last(self, count: int) -> list[TurnShare]:
        # The record stands behind the last of those that it takes away.
        return [turn for turn in self.turns if turn.number][-count:] if count else []

    def _add(self, turn: TurnShare, origin: Origin, n_bytes: int, sent_bytes: int, images: int = 0) -> None:
        turn.parts.setdefault(origin, Amount()).add(n_bytes, sent_bytes, images)
        if sent_bytes or images:
            # The instructions at the head of a thread go with every request: no compaction takes them out.
            turn.live.setdefault(origin, Amount()).add(n_bytes, sent_bytes, images)

    def _tool(self, record: Record, piece: Piece, n_bytes: int) -> None:
        call_id = word(record.payload, "call_id")
        if piece.origin == "tool_call" and call_id and (name := word(record.payload, "name")):
            self._tool_of[call_id] = name
            if len(self._tool_of) > _MOST_CALLS:
                del self._tool_of[next(iter(self._tool_of))]
        elif piece.origin == "tool_output":
            name = self._tool_of.pop(call_id or "", "unknown")
            if name not in self.tools and len(self.tools) >= _MOST_TOOLS:
                name = OTHER_TOOLS
            self.tools.setdefault(name, Amount()).add(n_bytes, piece.sent_bytes)

    def _hash(self, origin: Origin, record: Record) -> None:
        payload = record.payload
        # Without the lines before it: those have a time and an id that is another each time.
        text = result_of(payload.get("output")).text if origin == "tool_output" else text_of(payload.get("content"))
        content = text.encode("utf-8", "surrogatepass")
        if len(content) < LONG_BYTES:
            return
        key = (origin, hashlib.sha256(content).digest())
        if key in self._texts:
            self._texts[key].count += 1
        elif len(self._texts) < _MOST_TEXTS:
            self._texts[key] = Copy(origin.replace("_", " "), text_bytes(text), 1, key[1].hex())
