"""What a rollout's ``token_count`` records mean: one kind of record stands for five different things.

It may say that a response completed (the total has grown), that nothing was counted (no figures, or the same
ones again), how much is left after a compaction (only the last figure has changed), or that the window was
exceeded (made-up figures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from turnscope_analyzer.sources.objects import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Reading = Literal["grown", "same", "absent", "estimate", "exceeded", "unreadable"]

LIMIT_PER_MILLE = 947
"""From this share of the written window on Codex compacts before it asks anything else: the limit is at most
90 % of the model's window, and the window that it writes is 95 % of it."""


class Meter:
    """The tokens of one thread, by its ``token_count`` records in file order."""

    def __init__(self) -> None:
        self.tokens: int | None = None
        self.window: int | None = None
        self._total: int | None = None

    def read(self, payload: Mapping[str, Any]) -> Reading:
        """Take a record in and return what it says."""
        info = payload.get("info")
        if info is None:
            return "absent"
        total = number(info, "total_token_usage", "total_tokens")
        last = number(info, "last_token_usage", "total_tokens")
        if total is None or last is None:
            return "unreadable"
        window = number(info, "model_context_window")
        if window and total == window and number(info, "total_token_usage", "input_tokens") == 0:
            return "exceeded"
        reading = self._compare(total, last)
        self._total, self.tokens, self.window = total, last, window or self.window
        return reading

    def at_limit(self) -> bool:
        """Tell whether the context is so full that Codex has to compact before its next request."""
        return bool(self.window and self.tokens and self.tokens * 1_000 >= self.window * LIMIT_PER_MILLE)

    def _compare(self, total: int, last: int) -> Reading:
        if total != self._total:
            return "grown"
        return "same" if last == self.tokens else "estimate"


def number(content: object, *path: str) -> int | None:
    """Return the number at *path*, None where there is none or none that fits 64 bits."""
    for name in path:
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return count_of(content)
