"""How much of what is being received may be in memory at a time, over all senders together."""

from __future__ import annotations

import threading


class Memory:
    """A number of bytes that requests take while they are received and give back when they are answered."""

    def __init__(self, cap_bytes: int) -> None:
        self.held_bytes = 0
        self._cap_bytes = cap_bytes
        self._lock = threading.Lock()

    def take(self, n_bytes: int) -> bool:
        """Take *n_bytes*; False, and nothing is taken, where so much is not left."""
        with self._lock:
            if self.held_bytes + n_bytes > self._cap_bytes:
                return False
            self.held_bytes += n_bytes
            return True

    def give(self, n_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self.held_bytes -= n_bytes
