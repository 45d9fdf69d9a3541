"""How the context of a thread has grown, turn by turn, and what that says of the turns to come.

Only what the provider counted is used: the size of the last request's context, never the sum of all requests, which
goes into the millions in a healthy thread.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

RECENT_TURNS: Final = 8
"""So many turns tell the present growth."""

SHORT_REQUESTS: Final = 2
"""A compaction that comes after no more responses than this since the one before has bought nothing."""

_RECENT_COMPACTIONS: Final = 8


class Forecast(NamedTuple):
    """What happens at the present growth, in turns from now; None for what is not in sight.

    ``compacts_in`` is when the context reaches the limit at which it is compacted, ``fails_in`` when the compaction
    itself does not fit any more, or leaves so much that the next one follows at once.
    """

    growth_tokens: int | None
    compacts_in: int | None
    fails_in: int | None


class Compaction(NamedTuple):
    """One compaction: the turn (counted from 1), where it stands, and how much it left."""

    turn: int
    offset: int
    requests_before: int
    left_tokens: int | None


@dataclass(slots=True)
class Growth:
    """The tokens of one thread's context; fed with what its records say, in file order.

    ``tokens`` is the context of the last request, ``window`` what fits, ``largest_step`` the most by which one
    response and its tools have made it grow. ``in_a_row`` is how many of the last compactions bought nothing.
    """

    tokens: int | None = None
    window: int | None = None
    turns: int = 0
    compactions: int = 0
    largest_step: int = 0
    in_a_row: int = 0
    recent: deque[Compaction] = field(default_factory=lambda: deque(maxlen=_RECENT_COMPACTIONS))
    _grown: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_TURNS))
    _at_start: int | None = None
    _requests: int = 0

    def turn(self) -> None:
        """Take in that a turn begins."""
        if self._at_start is not None and self.tokens is not None:
            self._grown.append(max(self.tokens - self._at_start, 0))
        self.turns += 1
        self._at_start = self.tokens

    def response(self, tokens: int, window: int | None) -> None:
        """Take in that a response is complete, and how large its context was."""
        if self.tokens is not None:
            self.largest_step = max(self.largest_step, tokens - self.tokens)
        elif self._at_start is None:
            # A first request has the instructions and tools in it, which do not grow.
            self._at_start = tokens
        self.tokens, self.window = tokens, window or self.window
        self._requests += 1

    def left(self, tokens: int, window: int | None) -> None:
        """Take in how much a compaction has left."""
        self.tokens, self.window = tokens, window or self.window
        self._at_start = tokens
        if self.recent and self.recent[-1].left_tokens is None:
            self.recent[-1] = self.recent[-1]._replace(left_tokens=tokens)

    def compacted(self, offset: int) -> None:
        """Take in that the thread was compacted."""
        self.in_a_row = self.in_a_row + 1 if self.compactions and self._requests <= SHORT_REQUESTS else 0
        self.compactions += 1
        self.recent.append(Compaction(self.turns, offset, self._requests, None))
        self._requests = 0
        # What the turn added before is gone; what it adds from here on is measured from what is left.
        self._at_start = None

    def forecast(self, limit_per_mille: int) -> Forecast:
        """Return what is in sight, for a thread that is compacted at so much of its window.

        A compaction is asked for once the limit is passed, and carries everything: it fits only while the step that
        passes the limit ends inside the window. Threads whose compactions leave more each time end up at the limit.
        """
        growth = round(median(self._grown)) if len(self._grown) > 1 else None
        if growth is None or self.tokens is None or not self.window:
            return Forecast(growth, None, None)
        limit = self.window * limit_per_mille // 1_000
        compacts_in = _turns_to(self.tokens, limit, growth)
        ways = [self._floor_reaches(limit)]
        if self.largest_step > self.window - limit:
            # From there on a step like the largest one goes past the window at once.
            ways.append(_turns_to(self.tokens, self.window - self.largest_step, growth))
        return Forecast(growth, compacts_in, min((way for way in ways if way is not None), default=None))

    def _floor_reaches(self, limit: int) -> int | None:
        """Return in how many turns a compaction leaves as much as the limit, at the pace of the recent ones."""
        known = [(one.turn, one.left_tokens) for one in self.recent if one.left_tokens is not None]
        if len(known) < 3:
            return None
        (first_turn, first), (last_turn, last) = known[0], known[-1]
        if last <= first or last_turn <= first_turn:
            return None
        return math.ceil(max(limit - last, 0) * (last_turn - first_turn) / (last - first))


def _turns_to(tokens: int, level: int, growth: int) -> int | None:
    if tokens >= level:
        return 0
    return math.ceil((level - tokens) / growth) if growth > 0 else None
