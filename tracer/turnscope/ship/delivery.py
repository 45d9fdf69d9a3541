"""Sends one signal of a journal: reads, makes a batch, sends it, and moves the cursor when there is a receipt.

One batch is in memory at a time. While it gets no receipt nothing more is read, so that an outage of any length costs
no memory; the journal holds the rest.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from turnscope.ship.batches import Batches
from turnscope.ship.cursor import load, path_of, save
from turnscope.ship.unsent import oldest_unsent_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from turnscope.ship.batches import Maker
    from turnscope.ship.cursor import Cursor, Signal
    from turnscope.ship.receipt import Receipt

log = logging.getLogger("turnscope")

_SAVE_S: Final = 10.0
_ALIVE_S: Final = 600.0
_IDLE_S: Final = 1.0


class Pace(NamedTuple):
    """How much is sent at once, and how long is waited; seconds."""

    batch: int = 512
    every_s: float = 1.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    hold_s: float = 60.0
    heartbeat_s: float = 30.0
    standby_s: float = 5.0


class Standing(NamedTuple):
    """What came of one signal; the counts are those of all deliveries of the journal.

    ``is_done``: everything that stands in the journal was read, and has a receipt. ``receipt`` is the latest.
    ``refused`` has the last batches that were refused, with their places. ``damaged`` are lines, ``missed`` segments
    that went before they were read. ``receipts`` counts the items of this delivery alone by what was said to them:
    accepted, rejected, refused, or retried, each try.
    """

    signal: Signal
    is_done: bool
    sent: int
    rejected: int
    refused_items: int
    refused: tuple[dict[str, Any], ...]
    open_turns: int
    damaged: int
    missed: int
    receipt: Receipt | None
    receipts: Mapping[str, int]


class Outlet(Protocol):
    """Takes the items of one signal to where they belong."""

    def send(self, items: Sequence[Any]) -> Receipt:
        """Send *items* once and say what was answered; never raises."""

    def abort(self) -> None:
        """Have a send on another thread end soon; returns at once."""

    def close(self) -> None:
        """Let go of everything; called on the sending thread, when it has sent its last."""


class Delivery:
    """One signal of one journal on its way.

    Args:
        journal: The folder; its lock is held.
        signal: Which one, for the cursor.
        maker: Makes the items.
        outlet: Takes them.
        pace: Sizes and waits.
        patience_s: How long a batch is tried; None: until it gets a receipt. It is in the journal in either case.
    """

    def __init__(
        self,
        journal: Path,
        signal: Signal,
        maker: Maker,
        outlet: Outlet,
        *,
        pace: Pace,
        patience_s: float | None = None,
    ) -> None:
        self.signal: Signal = signal
        self.receipt: Receipt | None = None
        self.is_done = False
        self._journal, self._outlet, self._pace = journal, outlet, pace
        self._patience_s = patience_s
        self._path = path_of(journal, signal)
        self.cursor = load(self._path)
        self._batches = Batches(journal, maker)
        self._limit = pace.batch
        self._ending = threading.Event()
        self._is_away = self._aborted = False
        self._is_kept = True
        self._saved_s = self._beat_s = self._caught_up_s = time.monotonic()
        self._receipts: Counter[str] = Counter()
        self._batches.take_up(self.cursor)

    def run(self, *, once: bool = False) -> None:
        """Send until `end` is called, or with *once* until everything that is there was sent or tried in vain."""
        try:
            while True:
                # Before the journal is read: what was recorded until somebody asked for the end is still sent.
                last = once or self._ending.is_set()
                items = self._batches.next(self._limit)
                if items:
                    if not self._deliver(items) or self._aborted:
                        return
                    continue
                self._caught_up_s = time.monotonic()
                if last:
                    self.is_done = True
                    self._save_moved(now=True)
                    return
                self._save_moved()
                self._send_heartbeats()
                self._ending.wait(self._pace.every_s)
        finally:
            self._outlet.close()

    def standing(self) -> Standing:
        """Return what came of it so far."""
        cursor, reader = self.cursor, self._batches.reader
        return Standing(
            signal=self.signal,
            is_done=self.is_done,
            sent=cursor.sent,
            rejected=cursor.rejected,
            refused_items=cursor.refused_items,
            refused=tuple(cursor.refused),
            open_turns=len(self._batches.story),
            damaged=reader.damaged,
            missed=reader.missed,
            receipt=self.receipt,
            receipts=dict(self._receipts),
        )

    def unsent_since_ns(self) -> int | None:
        """Return the wall clock of the oldest mark that was not sent yet; None when none is left."""
        if time.monotonic() - self._caught_up_s <= self._pace.every_s + _IDLE_S:
            return None
        return oldest_unsent_ns(self._journal, self.cursor.at)

    @property
    def is_unwanted(self) -> bool:
        """Whether the collector does not take this signal at all."""
        return self.signal == "logs" and self.receipt is not None and self.receipt.lacks_signal

    def end(self) -> None:
        """Have `run` send what is there, without trying anything twice, and return."""
        self._ending.set()

    def abort(self) -> None:
        """Have `run` return as soon as it can. What is on its way may or may not arrive, and is sent again then."""
        self._aborted = True
        self._ending.set()
        self._outlet.abort()

    def _deliver(self, items: list[Any]) -> bool:
        """Send *items* until there is a receipt; False when somebody asked for the end before."""
        began_s = time.monotonic()
        wait_s = self._pace.first_wait_s
        while True:
            receipt = self._outlet.send(items)
            self._tell(receipt)
            if self._shrinks(receipt):
                self._limit = max(1, min(self._limit, len(items)) // 2)
                self._batches.take_up(self.cursor)
                return True
            if receipt.settles:
                self._settle(items, receipt)
                return True
            self._receipts["retried"] += len(items)
            if self.is_unwanted:
                return False
            waited_s = time.monotonic() - began_s
            if self._patience_s is not None and (receipt.holds or waited_s > self._patience_s):
                return False
            delay_s = self._pace.hold_s if receipt.holds else wait_s * random.uniform(0.8, 1.2)
            if receipt.retry_after_s is not None:
                delay_s = max(delay_s, receipt.retry_after_s)
            wait_s = min(2 * wait_s, self._pace.longest_wait_s)
            self._save_alive()
            if self._ending.is_set() or self._ending.wait(delay_s):
                return False

    def _shrinks(self, receipt: Receipt) -> bool:
        """Tell whether less can be sent at once, which is what a receipt asks for."""
        return receipt.too_large and self._limit > 1

    def _settle(self, items: list[Any], receipt: Receipt) -> None:
        """Move the cursor behind *items*."""
        before, cursor = self.cursor.at, self._moved()
        taken = 0 if receipt.kind == "refused" else len(items) - receipt.rejected
        self._receipts.update(
            {"accepted": taken, "rejected": receipt.rejected, "refused": len(items) - taken - receipt.rejected}
        )
        if receipt.kind == "refused":
            cursor.refuse(self._place(before, receipt, len(items)), len(items))
        else:
            cursor.sent += taken
            cursor.rejected += receipt.rejected
        self.cursor = cursor
        self._limit = min(self._pace.batch, 2 * self._limit)
        self._save()

    def _place(self, before: Mapping[str, int], receipt: Receipt, items: int) -> dict[str, Any]:
        """Return where in the journal a batch stands."""
        at = self._batches.reader.at
        read = {name: [before.get(name, 0), end] for name, end in at.items() if end != before.get(name, 0)}
        return {"t": time.time_ns(), "signal": self.signal, "items": items, "receipt": str(receipt), "read": read}

    def _moved(self) -> Cursor:
        """Return a cursor behind everything that was read."""
        cursor = replace(self.cursor)
        self._batches.put_away(cursor)
        return cursor

    def _save_moved(self, *, now: bool = False) -> None:
        """Save the cursor when marks were read that made no items."""
        if now or time.monotonic() - self._saved_s >= _SAVE_S:
            before, self.cursor = self.cursor, self._moved()
            if self.cursor != before:
                self._save()
            self._save_alive()

    def _save_alive(self) -> None:
        """Show now and then that somebody still sends this journal, also while nothing moves."""
        if time.monotonic() - self._saved_s >= _ALIVE_S:
            self._save()

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        try:
            save(self._path, self.cursor)
            self._is_kept = True
        except OSError as error:
            if self._is_kept:
                log.warning("cannot keep %s: %s; after a restart its last batches are sent again", self._path, error)
            self._is_kept = False

    def _send_heartbeats(self) -> None:
        """Tell once of everything that is open; nothing hangs on whether it arrives."""
        if self._is_away or time.monotonic() - self._beat_s < self._pace.heartbeat_s:
            return
        self._beat_s = time.monotonic()
        items = self._batches.alive()
        for start in range(0, len(items), self._pace.batch):
            if not self._outlet.send(items[start : start + self._pace.batch]).settles:
                return

    def _tell(self, receipt: Receipt) -> None:
        """Say once that the collector is away, and that it is back; say each refusal."""
        if self._aborted:
            return  # it was cut off here, and says nothing about the collector
        self.receipt = receipt
        away = not receipt.settles
        if away and not self._is_away:
            log.warning("%s: the collector does not take it, %s; it stays in the journal", self.signal, receipt)
        elif receipt.settles and self._is_away:
            log.warning("%s: the collector takes it again", self.signal)
        if receipt.settles and receipt.kind != "accepted" and not self._shrinks(receipt):
            log.warning("%s: a batch was %s; it stays in the journal and is not sent again", self.signal, receipt)
        self._is_away = away
