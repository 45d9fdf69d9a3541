"""Decides at start-up whether this process has metrics and where they go; loads nothing that is not asked for.

What the caller asks for and cannot work is an error. What the environment asks for may be meant for others in this
process: if it cannot work that is said, and the gateway starts without.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.errors import ConfigurationError
from turnscope.metrics.address import Address, address_of, check_free
from turnscope.reading import headers_in
from turnscope.ship.settings import is_asked_for, is_off, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.metrics import MeterProvider

    from turnscope.journal import Journal
    from turnscope.metrics.meters import Metrics
    from turnscope.recorder import Recorder
    from turnscope.ship.shipper import Shipper
    from turnscope.watch import Watch

log = logging.getLogger("turnscope")

EXPORTERS: Final = "OTEL_METRICS_EXPORTER"
HOST: Final = "OTEL_EXPORTER_PROMETHEUS_HOST"
PORT: Final = "OTEL_EXPORTER_PROMETHEUS_PORT"


class Plan(NamedTuple):
    """Where metrics go: to a provider of the user's, or over OTLP, or to whoever scrapes an address, or both."""

    provider: MeterProvider | None
    otlp: bool
    address: Address | None


def plan_for(
    *, metrics: bool | MeterProvider | None, prometheus: str | None, taken: Address | None = None
) -> Plan | None:
    """Return where the metrics of this process go; None when nobody asks for them.

    Args:
        metrics: True or False; a provider that they are added to; None: what the environment asks for.
        prometheus: ``host:port`` to serve them at; None: what the environment asks for.
        taken: Where this process serves them already; it stops doing so before it serves them again.

    Raises:
        ConfigurationError: The caller has asked for what cannot work.
    """
    if metrics is False and prometheus is None:
        return None
    if metrics is False:
        raise ConfigurationError("metrics=False and prometheus=... exclude each other; nothing was started")
    if metrics is not None and metrics is not True:
        return _given(metrics, prometheus)
    otlp, address = _otlp(asked=metrics is True), None
    if prometheus is not None:
        address = address_of(prometheus)
        check_endpoint(address, taken)
    elif "prometheus" in _exporters():
        try:
            host = os.environ.get(HOST, "").strip() or "127.0.0.1"
            address = address_of(f"{f'[{host}]' if ':' in host else host}:{os.environ.get(PORT, '').strip() or 9464}")
            check_endpoint(address, taken)
        except ConfigurationError as error:
            log.warning("%s; there is no endpoint for Prometheus", error)
            address = None
    return Plan(None, otlp, address) if otlp or address is not None else None


def metrics_of(plan: Plan, recorder: Recorder, journal: Journal, watch: Watch, service: str) -> Metrics:
    """Return the metrics of the turns that *recorder* records into *journal*, not yet started."""
    from turnscope.metrics.meters import Metrics  # noqa: PLC0415 -- a gateway without metrics does without
    from turnscope.metrics.own import OwnTurns  # noqa: PLC0415 -- as above

    def header() -> dict[str, object]:
        return {"service": service, "host": os.uname().nodename, "proc": journal.process_id}

    return Metrics(plan, lambda: OwnTurns(recorder, journal, watch), header, recorder.shipper)


def metrics_beside(journal: Path, address: Address, shipper: Shipper | None) -> Metrics:
    """Return the metrics of all processes that record into *journal*, to be served at *address*, not yet started."""
    from turnscope.metrics.beside import JournalTurns  # noqa: PLC0415 -- as above
    from turnscope.metrics.meters import Metrics  # noqa: PLC0415 -- as above

    def header() -> dict[str, object]:
        named = [head.get("service") for head in headers_in(journal).values()]
        return {"service": next((name for name in reversed(named) if name), ""), "host": os.uname().nodename}

    return Metrics(Plan(None, otlp=False, address=address), lambda: JournalTurns(journal), header, shipper)


def check_endpoint(address: Address, taken: Address | None = None) -> None:
    """See that metrics can be served at *address*; where they are served already, that will end before.

    Raises:
        ConfigurationError: The extra is not installed, or the address cannot be listened at.
    """
    try:
        importlib.import_module("opentelemetry.exporter.prometheus")
        importlib.import_module("prometheus_client")
    except ImportError as error:
        raise ConfigurationError(
            f"an endpoint for Prometheus needs an extra ({error}): pip install 'turnscope[prometheus]'"
        ) from error
    if address != taken:
        check_free(address)


def _given(provider: MeterProvider, prometheus: str | None) -> Plan:
    if not callable(getattr(provider, "get_meter", None)):
        raise ConfigurationError("metrics must be True, False or a MeterProvider; nothing was started")
    if prometheus is not None:
        raise ConfigurationError(
            "prometheus=... needs a provider of its own; give yours a PrometheusMetricReader; nothing was started"
        )
    return Plan(provider, otlp=False, address=None)


def _otlp(*, asked: bool) -> bool:
    named = _exporters()
    if is_off("metrics") or (named and "otlp" not in named):
        return False
    if not (asked or named or is_asked_for("metrics")):
        return False
    try:
        settings_for("metrics")
    except ConfigurationError as error:
        if asked:
            raise
        log.warning("%s; metrics are not sent", error)
        return False
    return True


def _exporters() -> set[str]:
    if is_off("metrics"):
        return set()
    return {name.strip().lower() for name in os.environ.get(EXPORTERS, "").split(",") if name.strip()}
