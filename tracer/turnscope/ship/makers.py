"""What each signal sends, and the outlet that the environment, or the user, chose for it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SpanExportResult

from turnscope.errors import JournalFormatError
from turnscope.life import last_pulse_ns, read_life
from turnscope.process import fate_of
from turnscope.ship import events
from turnscope.ship.names import generation_in
from turnscope.ship.receipt import Receipt, unreachable
from turnscope.ship.settings import settings_for
from turnscope.ship.spans import Spans, resource_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from turnscope.ship.batches import Header, Maker
    from turnscope.ship.cursor import Signal
    from turnscope.ship.delivery import Outlet
    from turnscope.ship.events import Event
    from turnscope.ship.story import Closed, Episode, Step


class SpanMaker:
    """Spans of what has ended."""

    def __init__(self) -> None:
        self._spans = Spans(generation_in(os.environ))

    def reached(self, episode: Episode, step: Step, closed: list[Closed], header: Header) -> list[ReadableSpan]:  # noqa: ARG002 - a maker's signature
        """Return the spans of the lanes that ended."""
        return self._all(closed, header)

    def lost(self, episode: Episode, closed: list[Closed], header: Header, horizon_ns: int) -> list[ReadableSpan]:  # noqa: ARG002 - as above
        """Return the spans of everything that was open."""
        return self._all(closed, header)

    def alive(self, episodes: list[Episode], header: Header, folder: Path) -> list[ReadableSpan]:  # noqa: ARG002 - as above
        """Return nothing: a span that has not ended is not sent."""
        return []

    def _all(self, closed: list[Closed], header: Header) -> list[ReadableSpan]:
        if not closed:
            return []
        resource = resource_of(header)
        return [span for one in closed for span in self._spans.of(one, resource)]


class EventMaker:
    """A log record for each phase."""

    def reached(self, episode: Episode, step: Step, closed: list[Closed], header: Header) -> list[Event]:  # noqa: ARG002 - a maker's signature
        """Return the record of the phase."""
        event = events.reached(episode, step, resource_of(header))
        return [] if event is None else [event]

    def lost(self, episode: Episode, closed: list[Closed], header: Header, horizon_ns: int) -> list[Event]:
        """Return the record that the turn was interrupted."""
        latest = max((one.steps[-1] for one in closed), key=lambda step: step.seq, default=None)
        if latest is None or not episode.first_seq:
            return []
        return [events.lost(episode, latest, resource_of(header), horizon_ns)]

    def alive(self, episodes: list[Episode], header: Header, folder: Path) -> list[Event]:
        """Return a heartbeat for each phase that is open, as of now or of the last proof that its process lived."""
        pulse_ns = last_pulse_ns(folder, str(header.get("proc")))
        at_ns = time.time_ns() if fate_of(header, pulse_ns) == "running" else pulse_ns
        if at_ns is None:
            return []
        try:
            life = read_life(folder / f"{header.get('proc')}.life")
        except (OSError, JournalFormatError):
            life = None
        resource = resource_of(header)
        return [event for episode in episodes for event in events.heartbeats(episode, life, resource, at_ns)]


class GivenExporter:
    """An exporter of the user's. It only says whether it has sent a batch; where not, the batch is tried again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def send(self, items: Sequence[ReadableSpan]) -> Receipt:
        """Send *items* once; never raises."""
        try:
            result = self._exporter.export(items)
        except Exception as error:  # noqa: BLE001 - whatever it raises, the batch was not sent
            return unreachable(error)
        taken = result is SpanExportResult.SUCCESS
        return Receipt("accepted" if taken else "retryable", result.name)

    def abort(self) -> None:
        """Do nothing: an exporter may wait in its own shutdown, and nobody waits for it."""

    def close(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()


class _Encoded:
    """Sends requests that are built here."""

    def __init__(self, encode: Callable[[Sequence[Any]], Any], messages: Any) -> None:
        self._encode, self._messages = encode, messages

    def send(self, items: Sequence[Any]) -> Receipt:
        receipt: Receipt = self._messages.send(self._encode(items))
        return receipt

    def abort(self) -> None:
        self._messages.abort()

    def close(self) -> None:
        self._messages.abort()


def outlet_for(signal: Signal, exporter: SpanExporter | None) -> Outlet:
    """Return what takes a signal: the given exporter, or the one that the environment asks for.

    Raises:
        ConfigurationError: A variable has a value that cannot work.
    """
    if exporter is not None:
        return GivenExporter(exporter)
    settings = settings_for(signal)
    # Imported here: each takes a tenth of a second and 20 MB, and only one of them is needed.
    if settings.protocol == "grpc":
        from turnscope.ship.over_grpc import GrpcMessages  # noqa: PLC0415

        return _Encoded(encode_spans if signal == "traces" else events.message_of, GrpcMessages(settings))
    from turnscope.ship.over_http import HttpMessages, HttpSpans  # noqa: PLC0415

    return HttpSpans(settings) if signal == "traces" else _Encoded(events.message_of, HttpMessages(settings))


def maker_for(signal: Signal) -> Maker:
    """Return what makes the items of a signal."""
    return SpanMaker() if signal == "traces" else EventMaker()
