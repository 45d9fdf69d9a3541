"""What all transports do with a request: unpack it, take out what is kept, and write that before it is answered."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.collect.decode import decode, unpack
from turnscope_analyzer.collect.memory import Memory
from turnscope_analyzer.collect.refusal import RefusedError
from turnscope_analyzer.collect.senders import Senders
from turnscope_analyzer.collect.slim import Slimmer

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnscope_analyzer.collect.decode import Encoding
    from turnscope_analyzer.collect.senders import Peer
    from turnscope_analyzer.collect.store import Store
    from turnscope_analyzer.sources.otlp.wire import Signal


_REMEMBERED: Final = 4096
"""So many of the latest requests are known again."""


class Taken(NamedTuple):
    """What became of a request that was taken: how many of its records were rejected, and why."""

    rejected: int
    why: str


class Intake:
    """Takes requests into a store, from any number of threads.

    Args:
        store: It is open.
        body_bytes: The longest body, as it came and unpacked.
        memory_bytes: What requests may hold together while they are received.
        clock: Epoch ns.

    Attributes:
        counts: What was taken and refused so far: ``requests``, ``traces`` and ``logs`` (records taken), ``metrics``
            (data points counted), ``repeated`` (requests that had come before), ``rejected`` (records), ``redacted``
            and ``capped`` (values), and the refused requests by their reason.
    """

    def __init__(
        self, store: Store, *, body_bytes: int, memory_bytes: int, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.body_bytes = body_bytes
        self.memory = Memory(memory_bytes)
        self.counts: Counter[str] = Counter()
        self._store = store
        self._slimmer = Slimmer(clock, self._drop)
        self._senders = Senders(clock)
        self._latest: dict[bytes, None] = {}
        # One request at a time: only one is ever unpacked, and the store's files are written by nobody else.
        self._lock = threading.Lock()
        self._counting = threading.Lock()

    def take(self, signal: Signal, encoding: Encoding, coding: str, body: bytes, peer: Peer | None = None) -> Taken:
        """Take one request; when this returns, what is kept of it survives the end of this process.

        *peer* is the other end of the connection that it came by, which is still open.

        Raises:
            RefusedError: It cannot be taken. Nothing of it is kept.
        """
        try:
            with self._lock:
                return self._take(signal, encoding, coding, body, peer)
        except RefusedError as error:
            self.refuse(error)
            raise

    def refuse(self, error: RefusedError) -> None:
        """Count a request that was refused. Waits for no other request."""
        with self._counting:
            self.counts[error.why] += 1

    def _keep(self, signal: Signal, lines: bytes) -> None:
        """Append *lines*, but for those that were: a sender that did not wait for its answer sends the same again."""
        digest = hashlib.sha256(lines).digest()
        if digest in self._latest:
            with self._counting:
                self.counts["repeated"] += 1
            return
        self._store.append(signal, lines)
        self._latest[digest] = None
        if len(self._latest) > _REMEMBERED:
            del self._latest[next(iter(self._latest))]

    def tell_who_lives(self) -> None:
        """Note of each sender of this machine whose process lives that it does so."""
        with self._lock:
            if lines := self._senders.seen():
                # A full disk is told to those who send; here nobody waits for an answer.
                with suppress(RefusedError):
                    self._store.append("logs", lines)

    def _take(self, signal: Signal, encoding: Encoding, coding: str, body: bytes, peer: Peer | None) -> Taken:
        slimmed = self._slimmer.slim(signal, decode(signal, encoding, unpack(body, coding, self.body_bytes)))
        for kind, lines in slimmed.lines.items():
            self._keep(kind, lines)
        if peer is not None:
            self._senders.met(peer, slimmed.senders)
        kept = slimmed.seen if signal == "metrics" else slimmed.kept
        with self._counting:
            self.counts.update({"requests": 1, "rejected": slimmed.rejected, signal: kept})
        return Taken(slimmed.rejected, slimmed.why)

    def _drop(self, reason: str) -> None:
        self.counts[reason] += 1
