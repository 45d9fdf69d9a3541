"""Sends a journal, on threads of its own: one process at a time, and never in the way of a turn.

Whoever asks for the end waits half a second at most. What has no receipt by then is in the journal, and is sent by the
next one.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from turnscope.errors import ConfigurationError
from turnscope.process import call_in_forked_child
from turnscope.ship.cursor import Lock
from turnscope.ship.delivery import Delivery, Pace, Standing
from turnscope.ship.settings import is_off

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace.export import SpanExporter

    from turnscope.ship.cursor import Signal

log = logging.getLogger("turnscope")

THREAD: Final = "turnscope-ship"
_GRACE_S: Final = 0.3
_ABORT_S: Final = 0.1


class Shipper:
    """Sends one journal until it is stopped.

    Args:
        journal: The folder.
        exporter: Takes the spans, and there are no log records then; None: the environment says where they go.
        pace: Sizes and waits.
        patience_s: See `Delivery`.
        once: End by itself when everything that is there was sent, or tried in vain.
        standby: While another process sends this journal, wait to take over; else end.
    """

    def __init__(
        self,
        journal: Path,
        *,
        exporter: SpanExporter | None = None,
        pace: Pace | None = None,
        patience_s: float | None = None,
        once: bool = False,
        standby: bool = True,
    ) -> None:
        self.failure: str = ""
        self._journal, self._exporter, self._pace = journal, exporter, pace or Pace()
        self._patience_s, self._once, self._standby = patience_s, once, standby
        self._lock = Lock(journal)
        self._ending = threading.Event()
        self._deliveries: list[Delivery] = []
        self._threads: list[threading.Thread] = []
        self._left = 0
        self._leaving = threading.Lock()  # orders the ends of the threads; nothing else is done while it is held
        call_in_forked_child(self._forget)

    def start(self) -> None:
        """Begin to send."""
        self._begin(self._lead, "traces")

    def join(self) -> None:
        """Wait until it has ended by itself."""
        for thread in self._threads:  # the first one adds the others before it ends
            thread.join()

    @property
    def is_running(self) -> bool:
        """Whether something is sent, or waits to be."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Send what can be sent within 0.3 s, then end; returns within half a second whatever hangs."""
        self._ending.set()
        for delivery in tuple(self._deliveries):
            delivery.end()
        self._wait(_GRACE_S)
        for delivery in tuple(self._deliveries):
            delivery.abort()
        self._wait(_ABORT_S)

    def standings(self) -> list[Standing]:
        """Return what came of each signal so far; none while another process sends this journal."""
        return [delivery.standing() for delivery in self._deliveries]

    def unsent_since_ns(self) -> dict[Signal, int | None]:
        """Return for each signal that is wanted since when something waits to be sent, wall clock; None: nothing."""
        return {one.signal: one.unsent_since_ns() for one in tuple(self._deliveries) if not one.is_unwanted}

    def _wait(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        for thread in tuple(self._threads):
            thread.join(max(0.0, until_s - time.monotonic()))

    def _begin(self, target: object, signal: Signal, *args: object) -> None:
        name = f"{THREAD}-{signal}"
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        with self._leaving:
            self._left += 1
        thread.start()

    def _lead(self) -> None:
        """Send the spans, and have the log records sent beside."""
        try:
            if self._has_lock():
                signals: list[Signal] = (
                    ["traces"] if self._exporter is not None or is_off("logs") else ["traces", "logs"]
                )
                self._deliveries = [self._delivery(signal) for signal in signals]
                if self._ending.is_set():
                    for delivery in self._deliveries:
                        delivery.end()
                for delivery in self._deliveries[1:]:
                    self._begin(self._run, delivery.signal, delivery)
                self._deliveries[0].run(once=self._once)
        except (ConfigurationError, ImportError, OSError) as error:
            self._fail(error)
        except Exception as error:
            self._fail(error)
            log.debug("the shipper ended", exc_info=True)
        finally:
            self._leave()

    def _run(self, delivery: Delivery) -> None:
        try:
            delivery.run(once=self._once)
        except Exception as error:
            self._fail(error)
            log.debug("the shipper ended", exc_info=True)
        finally:
            self._leave()

    def _delivery(self, signal: Signal) -> Delivery:
        # Not at the top: this loads the exporters, which takes a quarter of a second and belongs on this thread.
        from turnscope.ship.makers import maker_for, outlet_for  # noqa: PLC0415

        outlet, maker = outlet_for(signal, self._exporter), maker_for(signal, self._exporter)
        return Delivery(self._journal, signal, maker, outlet, pace=self._pace, patience_s=self._patience_s)

    def _has_lock(self) -> bool:
        """Take the journal's lock; wait for it, unless this is for once. False when it was not to be had."""
        told = False
        while not self._lock.take():
            holder = f"process {self._lock.holder()}" if self._lock.holder() else "another process"
            if not self._standby:
                self.failure = f"{holder} already sends {self._journal}; nothing was sent here"
                return False
            if not told:
                told = True
                log.info("%s already sends %s; this one takes over when that one ends", holder, self._journal)
            if self._ending.wait(self._pace.standby_s):
                return False
        return True

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}" if not isinstance(error, ConfigurationError) else str(error)
        log.warning("telemetry is not sent any more (%s); the journal goes on", self.failure)

    def _leave(self) -> None:
        """Let the lock go with the last thread: until then something may still arrive, and must move the cursor."""
        with self._leaving:
            self._left -= 1
            last = not self._left
        if last:
            self._lock.release()

    def _forget(self) -> None:
        """Be nothing in a forked child: the parent reads the child's segments, and sends them."""
        self._lock.release()
        self._deliveries, self._threads = [], []
        self._ending.set()
