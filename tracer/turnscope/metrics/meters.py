"""The metrics of one process, from `start` to `end`: a thread reads what is over in the journal and feeds the meters.

Nothing here raises once it was started, and whoever asks for the end is not kept waiting by a collector that hangs. A
forked child begins metrics of its own when it records for the first time; those of its parent stay the parent's.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from turnscope._guard import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from turnscope.metrics.address import Address
    from turnscope.metrics.begin import Plan
    from turnscope.metrics.instruments import Instruments
    from turnscope.metrics.pipeline import Pipeline
    from turnscope.metrics.source import Source
    from turnscope.ship.shipper import Shipper

log = logging.getLogger("turnscope")

THREAD: Final = "turnscope-metrics"
_EVERY_S: Final = 1.0
_LAST_S: Final = 0.3


class Metrics:
    """What a recorder, or a shipper beside it, tells in figures.

    Args:
        plan: Where they go.
        source: Makes where they come from; called again in a forked child.
        header: Returns what a segment's header says of the process: the resource.
        shipper: Whose deliveries are told, if there is one.
    """

    def __init__(
        self,
        plan: Plan,
        source: Callable[[], Source],
        header: Callable[[], Mapping[str, object]],
        shipper: Shipper | None = None,
    ) -> None:
        self._plan, self._make_source, self._header, self._shipper = plan, source, header, shipper
        self._pid = os.getpid()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._pipeline: Pipeline | None = None
        self._instruments: Instruments | None = None

    @property
    def address(self) -> Address | None:
        """Where metrics are served, None where they are not."""
        return None if self._pipeline is None else self._pipeline.address

    def start(self) -> None:
        """Begin. What cannot be had after all is said, and the turns go on without."""
        try:
            self._begin(self._plan)
        except Exception as error:
            log.warning("there are no metrics: %s: %s; the journal goes on", type(error).__name__, error)
            log.debug("metrics could not begin", exc_info=True)

    def pulse(self) -> None:
        """Begin anew in a forked child, on the thread that keeps its journal."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        self._ending = threading.Event()
        if self._instruments is not None:
            self._instruments.source = self._instruments.shipper = None
        if self._plan.address is not None:
            log.info(
                "the metrics of a forked child are not served at %s; turnscope ship serves them", self._plan.address
            )
        plan = self._plan._replace(address=None)  # the port is the parent's
        if plan.otlp or plan.provider is not None:
            try:
                self._begin(plan)
            except RuntimeError:  # the child is at its end already, and no thread can be started any more
                log.debug("a forked child ended before its metrics began", exc_info=True)

    def end(self) -> None:
        """Give the port back and let the thread end."""
        if os.getpid() == self._pid:
            if self._pipeline is not None:
                self._pipeline.close_endpoint()
            self._ending.set()

    def wait(self, seconds: float) -> None:
        """Wait until everything was sent, *seconds* at most."""
        if self._thread is not None and os.getpid() == self._pid:
            self._thread.join(max(0.0, seconds))

    def _begin(self, plan: Plan) -> None:
        # Not at the top: this loads the SDK, which a gateway without metrics does not need.
        from turnscope.metrics.instruments import instruments_of  # noqa: PLC0415
        from turnscope.metrics.pipeline import Pipeline  # noqa: PLC0415
        from turnscope.ship.resources import resource_of  # noqa: PLC0415

        self._pipeline = None if plan.provider is not None else Pipeline(plan, resource_of(self._header()))
        provider = plan.provider if self._pipeline is None else self._pipeline.provider
        assert provider is not None
        instruments, source = instruments_of(provider), self._make_source()
        self._instruments = instruments
        instruments.source, instruments.shipper = source, self._shipper
        self._thread = threading.Thread(target=self._run, args=(instruments, source), name=THREAD, daemon=True)
        self._thread.start()

    def _run(self, instruments: Instruments, source: Source) -> None:
        last = False
        while not last:
            last = self._ending.is_set()
            with guard:
                source.look(instruments.record)
            self._ending.wait(0 if last else _EVERY_S)
        with guard:
            if self._pipeline is not None:
                self._pipeline.shut_down(_LAST_S)
            if instruments.source is source:
                instruments.source = instruments.shipper = None
