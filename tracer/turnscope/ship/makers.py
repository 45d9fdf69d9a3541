"""What each signal sends, and the outlet that the environment, or the user, chose for it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from opentelemetry.sdk.trace.export import SpanExportResult

from turnscope.errors import JournalFormatError
from turnscope.life import last_pulse_ns, read_life
from turnscope.process import fate_of
from turnscope.ship import events
from turnscope.ship.encode import SpanEncoder, request_of, resource_bytes
from turnscope.ship.names import generation_in
from turnscope.ship.readable import Readable
from turnscope.ship.receipt import Receipt, unreachable
from turnscope.ship.resources import resource_of
from turnscope.ship.settings import settings_for
from turnscope.ship.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from turnscope.ship.batches import Header, Maker
    from turnscope.ship.cursor import Signal
    from turnscope.ship.delivery import Outlet
    from turnscope.ship.encode import Encoded
    from turnscope.ship.spans import Writer
    from turnscope.ship.story import Closed, Episode, Step

R = TypeVar("R")
T = TypeVar("T")


class SpanMaker(Generic[R, T]):
    """Spans of what has ended, as *writer* writes them; *resource_as* is how it has the resource."""

    tells_marks = False

    def __init__(self, writer: Writer[R, T], resource_as: Callable[[Resource], R]) -> None:
        self._spans = Spans(generation_in(os.environ), writer)
        self._resources = _Resources(resource_as)

    def reached(self, episode: Episode, step: Step, closed: Sequence[Closed], header: Header) -> Sequence[T]:  # noqa: ARG002 - a maker's signature
        """Return the spans of the lanes that ended."""
        return self._all(closed, header) if closed else ()

    def lost(self, episode: Episode, closed: Sequence[Closed], header: Header, horizon_ns: int) -> Sequence[T]:  # noqa: ARG002 - as above
        """Return the spans of everything that was open."""
        return self._all(closed, header)

    def alive(self, episodes: list[Episode], header: Header, folder: Path) -> Sequence[T]:  # noqa: ARG002 - as above
        """Return nothing: a span that has not ended is not sent."""
        return ()

    def _all(self, closed: Sequence[Closed], header: Header) -> list[T]:
        resource = self._resources.of(header)
        if len(closed) == 1:
            return self._spans.of(closed[0], resource)
        return [span for one in closed for span in self._spans.of(one, resource)]


class EventMaker:
    """A log record for each phase."""

    tells_marks = True

    def __init__(self) -> None:
        self._resources = _Resources(resource_bytes)

    def reached(self, episode: Episode, step: Step, closed: Sequence[Closed], header: Header) -> Sequence[Encoded]:  # noqa: ARG002 - a maker's signature
        """Return the record of the phase."""
        event = events.reached(episode, step, self._resources.of(header))
        return () if event is None else (event,)

    def lost(self, episode: Episode, closed: Sequence[Closed], header: Header, horizon_ns: int) -> Sequence[Encoded]:
        """Return the record that the turn was interrupted."""
        latest = max((one.steps[-1] for one in closed), key=lambda step: step.seq, default=None)
        if latest is None or not episode.first_seq:
            return ()
        return (events.lost(episode, latest, self._resources.of(header), horizon_ns),)

    def alive(self, episodes: list[Episode], header: Header, folder: Path) -> Sequence[Encoded]:
        """Return a heartbeat for each phase that is open, as of now or of the last proof that its process lived."""
        pulse_ns = last_pulse_ns(folder, str(header.get("proc")))
        at_ns = time.time_ns() if fate_of(header, pulse_ns) == "running" else pulse_ns
        if at_ns is None:
            return ()
        try:
            life = read_life(folder / f"{header.get('proc')}.life")
        except (OSError, JournalFormatError):
            life = None
        resource = self._resources.of(header)
        return [event for episode in episodes for event in events.heartbeats(episode, life, resource, at_ns)]


class _Resources(Generic[R]):
    """The resource of a process; marks of one process mostly come one after the other."""

    def __init__(self, made: Callable[[Resource], R]) -> None:
        self._made = made
        self._latest: tuple[Header, R] | None = None

    def of(self, header: Header) -> R:
        if self._latest is None or self._latest[0] is not header:
            self._latest = header, self._made(resource_of(header))
        return self._latest[1]


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


class Messages(Protocol):
    """Sends requests that are encoded already."""

    def send(self, body: bytes) -> Receipt:
        """Send one request and say what was answered; never raises."""

    def abort(self) -> None:
        """Send nothing any more; returns at once."""


class Requests:
    """Sends items that are encoded already, each batch as one request."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def send(self, items: Sequence[Encoded]) -> Receipt:
        """Send *items* once; never raises."""
        return self._messages.send(request_of(items))

    def abort(self) -> None:
        """Send nothing any more."""
        self._messages.abort()

    def close(self) -> None:
        """Let go of the connection."""
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

        return Requests(GrpcMessages(settings))
    from turnscope.ship.over_http import HttpMessages  # noqa: PLC0415

    return Requests(HttpMessages(settings))


def maker_for(signal: Signal, exporter: SpanExporter | None = None) -> Maker:
    """Return what makes the items of a signal: spans of the SDK for a given exporter, else what is sent as it is."""
    if signal == "logs":
        return EventMaker()
    return SpanMaker(SpanEncoder(), resource_bytes) if exporter is None else readable_maker()


def readable_maker() -> SpanMaker[Resource, ReadableSpan]:
    """Return what makes spans of the SDK."""
    return SpanMaker(Readable(), lambda resource: resource)
