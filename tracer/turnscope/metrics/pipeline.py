"""Where metrics go from here, by the SDK of OpenTelemetry: its readers, and the exporters that the environment chose.

A provider belongs to one process: in a forked child it collects and sends nothing, as what it counted is the parent's
to send.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader

from turnscope.ship.settings import settings_for

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
    from opentelemetry.sdk.resources import Resource

    from turnscope.metrics.address import Address
    from turnscope.metrics.begin import Plan
    from turnscope.metrics.endpoint import Endpoint


class Pipeline:
    """A provider with the readers that *plan* asks for.

    Attributes:
        provider: Makes the meters.
        address: Where metrics are served; None where they are not.

    Raises:
        OSError: Nobody can listen at the address.
        ValueError: The SDK cannot work with a variable of the environment. Nothing is left behind.
    """

    def __init__(self, plan: Plan, resource: Resource) -> None:
        self._endpoint: Endpoint | None = None
        self.address: Address | None = None
        self._readers: list[MetricReader] = []
        try:
            self.provider = self._provider(plan, resource)
        except Exception:
            self.close_endpoint()
            for reader in self._readers:
                reader.shutdown(timeout_millis=0)  # or it would run on for nothing
            raise

    def _provider(self, plan: Plan, resource: Resource) -> MeterProvider:
        exporter = _otlp_exporter() if plan.otlp else None
        if plan.address is not None:
            # Imported here, as each of them is for who asks for it.
            from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415

            from turnscope.metrics.endpoint import Endpoint  # noqa: PLC0415

            self._endpoint = Endpoint(plan.address)
            self.address = self._endpoint.address
            self._readers.append(PrometheusMetricReader(scope_info_enabled=False, registry=self._endpoint.registry))
        if exporter is not None:
            self._readers.append(PeriodicExportingMetricReader(exporter))
        return MeterProvider(self._readers, resource=resource, shutdown_on_exit=False)

    def close_endpoint(self) -> None:
        """Give the port back."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()

    def shut_down(self, timeout_s: float) -> None:
        """Collect and send once more, for *timeout_s* at most, then end."""
        self.provider.shutdown(timeout_millis=timeout_s * 1000)


class _OfOneProcess:
    """Goes before an exporter, so that it exports in the process that made it and in no other."""

    def __init__(self) -> None:
        self._maker_pid = os.getpid()
        super().__init__()

    def export(self, *args: Any, **more: Any) -> MetricExportResult:
        if os.getpid() != self._maker_pid:
            return MetricExportResult.SUCCESS
        result: MetricExportResult = super().export(*args, **more)  # type: ignore[misc]
        return result


def _otlp_exporter() -> MetricExporter:
    """Return the exporter of OpenTelemetry for the protocol that the environment asks for; it reads the rest itself."""
    if settings_for("metrics").protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc  # noqa: PLC0415

        class OwnGrpc(_OfOneProcess, Grpc): ...

        return OwnGrpc()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http  # noqa: PLC0415

    class OwnHttp(_OfOneProcess, Http): ...

    return OwnHttp()
