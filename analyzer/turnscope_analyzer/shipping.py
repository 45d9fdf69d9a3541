"""Answers the ``ship`` command: sends a journal over OTLP and says what came of it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, NamedTuple

import click

from turnscope.errors import ConfigurationError
from turnscope.metrics.address import address_of
from turnscope.metrics.begin import check_endpoint, metrics_beside
from turnscope.reading import headers_in
from turnscope.ship.settings import is_off, settings_for
from turnscope.ship.shipper import Shipper
from turnscope_analyzer.deliveries import ITEMS
from turnscope_analyzer.report.wording import counted, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from turnscope.metrics.address import Address
    from turnscope.ship.delivery import Standing

_MAX_REFUSED = 10


class Shipped(NamedTuple):
    """What to print, and whether everything that is there has a receipt."""

    text: str
    is_done: bool


def ship(journal: Path, *, follow: bool, patience_s: float, prometheus: str | None = None) -> Shipped:
    """Send *journal* once, or with *follow* until somebody interrupts it, and serve metrics at *prometheus*.

    Raises:
        click.ClickException: There is no journal, another process sends it, the address cannot be served at, or the
            environment cannot work.
    """
    # Who serves metrics may be there before the gateway is.
    if not (headers_in(journal) or (prometheus is not None and journal.is_dir())):
        raise click.ClickException(
            f"no segment of a journal in {journal}. Give the folder that the recorder writes to."
        )
    if is_off("traces") and prometheus is None:
        raise click.ClickException("OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER says that nothing is to be sent.")
    try:
        metrics = None if prometheus is None else _checked(address_of(prometheus))
        shipper = (
            None
            if is_off("traces")
            else _shipper(journal, follow=follow, patience_s=patience_s, standby=metrics is not None)
        )
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    if metrics is not None:
        return _serve(journal, metrics, shipper)
    assert shipper is not None
    shipper.start()
    if follow:
        _wait_for_a_signal(shipper)
        shipper.stop()
    else:
        shipper.join()
    return _shipped(shipper)


def _shipper(journal: Path, *, follow: bool, patience_s: float, standby: bool) -> Shipper:
    where = settings_for("traces")
    settings_for("logs")
    click.echo(f"sending {journal} to {_shown(where.endpoint)} ({where.protocol})", err=True)
    return Shipper(journal, patience_s=None if follow else patience_s, once=not follow, standby=standby)


def _checked(address: Address) -> Address:
    check_endpoint(address)
    return address


def _serve(journal: Path, address: Address, shipper: Shipper | None) -> Shipped:
    """Serve metrics until somebody interrupts it, and send the journal as long as no other process does."""
    metrics = metrics_beside(journal, address, shipper)
    metrics.start()
    click.echo(f"serving the metrics of {journal} at http://{metrics.address or address}/metrics", err=True)
    if shipper is not None:
        shipper.start()
    _wait_for_a_signal(shipper)
    metrics.end()
    if shipper is None:
        return Shipped("", is_done=True)
    shipper.stop()
    # Nothing is amiss if it only stood by.
    return _shipped(shipper) if shipper.failure or shipper.standings() else Shipped("", is_done=True)


def _shipped(shipper: Shipper) -> Shipped:
    standings = shipper.standings()
    if shipper.failure or not standings:
        raise click.ClickException(shipper.failure or "it was interrupted before anything was sent.")
    return Shipped("".join(f"{line}\n" for one in standings for line in _lines(one)), all(map(_is_done, standings)))


def _is_done(standing: Standing) -> bool:
    """Tell whether a signal has all its receipts; log records are not missed where nobody takes any."""
    lacks = standing.signal == "logs" and standing.receipt is not None and standing.receipt.lacks_signal
    return standing.is_done or lacks


def _lines(standing: Standing) -> Iterator[str]:
    item = ITEMS[standing.signal]
    yield f"{standing.signal}: {counted(standing.sent, item)} taken in all, {_end(standing)}"
    if standing.rejected:
        yield f"  {counted(standing.rejected, item)} rejected by the collector in batches that it took in part"
    if standing.refused_items:
        yield f"  {counted(standing.refused_items, item)} refused; they stay in the journal:"
        for batch in standing.refused[-_MAX_REFUSED:]:
            places = ", ".join(f"{name}:{start}-{end}" for name, (start, end) in batch["read"].items())
            yield f"    {counted(batch['items'], item)}, {escaped(batch['receipt'])}: {places}"
    if standing.open_turns and standing.signal == "traces":
        yield f"  {counted(standing.open_turns, 'turn')} still open: their spans are sent when they end"
    if standing.damaged:
        yield f"  {counted(standing.damaged, 'damaged line')} left out"
    if standing.missed:
        yield f"  {counted(standing.missed, 'segment')} went before it was sent"


def _end(standing: Standing) -> str:
    if standing.is_done:
        return "nothing is left"
    receipt = standing.receipt
    if receipt is None:
        return "the rest is left for the next time"
    if _is_done(standing):
        return f"the collector takes no log records ({receipt.code})"
    return f"the rest is left for the next time: {escaped(str(receipt))}"


def _shown(endpoint: str) -> str:
    """Return an endpoint without the credentials and the query that a URL may carry."""
    scheme, mark, rest = endpoint.rpartition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _wait_for_a_signal(shipper: Shipper | None) -> None:
    asked = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    while (shipper is None or shipper.is_running) and not asked.wait(0.5):
        pass
