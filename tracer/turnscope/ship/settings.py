"""Where to send, and how, by the variables that every OpenTelemetry exporter reads.

The one of the signal comes before the general one. As in the exporters for Python, a timeout is in seconds.
"""

from __future__ import annotations

import os
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

from turnscope.errors import ConfigurationError

Telemetry = Literal["traces", "logs", "metrics"]
Protocol = Literal["http/protobuf", "grpc"]

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_PROTOCOLS: Final[dict[str, Protocol]] = {"http/protobuf": "http/protobuf", "grpc": "grpc"}
_COMPRESSIONS: Final = frozenset({"none", "gzip", "deflate"})
_GRPC_PORT: Final = ":4317"


class Settings(NamedTuple):
    """How one signal is sent. ``endpoint`` is a URL, with gRPC perhaps only host and port; paths are of PEM files."""

    signal: Telemetry
    protocol: Protocol
    endpoint: str
    headers: dict[str, str]
    timeout_s: float
    compression: str
    certificate: str
    client_certificate: str
    client_key: str
    insecure: bool


def is_asked_for(signal: Telemetry = "traces") -> bool:
    """Tell whether the environment says where to send telemetry, and does not switch it off."""
    return bool(_of("ENDPOINT", signal)) and not is_off(signal)


def is_off(signal: Telemetry) -> bool:
    """Tell whether the environment switches the signal off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return True
    return os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none"


def settings_for(signal: Telemetry) -> Settings:
    """Return how to send *signal*.

    Raises:
        ConfigurationError: A variable has a value that cannot work.
    """
    protocol = _protocol(signal)
    compression = (_of("COMPRESSION", signal) or "none").lower()
    if compression not in _COMPRESSIONS or (protocol == "grpc" and compression == "deflate"):
        raise ConfigurationError(f"{_PREFIX}COMPRESSION is {compression!r}; it must be gzip or none")
    given = _of("ENDPOINT", signal)
    endpoint = given if protocol == "grpc" else _http_endpoint(signal)
    plain = endpoint.startswith("http://") or (
        not endpoint.startswith("https://") and _of("INSECURE", signal).lower() == "true"
    )
    return Settings(
        signal=signal,
        protocol=protocol,
        endpoint=endpoint or "http://localhost:4317",
        headers=_headers(_of("HEADERS", signal)),
        timeout_s=_seconds(_of("TIMEOUT", signal)),
        compression=compression,
        certificate=_of("CERTIFICATE", signal),
        client_certificate=_of("CLIENT_CERTIFICATE", signal),
        client_key=_of("CLIENT_KEY", signal),
        insecure=plain or not endpoint,
    )


def _protocol(signal: Telemetry) -> Protocol:
    named = _of("PROTOCOL", signal).lower()
    if not named:
        # The port says it, too: with this one a collector takes gRPC, and the exporters for Python send it there.
        return "grpc" if _of("ENDPOINT", signal).rstrip("/").endswith(_GRPC_PORT) else "http/protobuf"
    if named not in _PROTOCOLS:
        raise ConfigurationError(f"{_PREFIX}PROTOCOL is {named!r}; it must be {' or '.join(_PROTOCOLS)}")
    return _PROTOCOLS[named]


def _http_endpoint(signal: Telemetry) -> str:
    own = os.environ.get(f"{_PREFIX}{signal.upper()}_ENDPOINT", "").strip()
    base = os.environ.get(f"{_PREFIX}ENDPOINT", "").strip() or "http://localhost:4318"
    endpoint = own or f"{base.rstrip('/')}/v1/{signal}"
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigurationError(f"{_PREFIX}ENDPOINT is {endpoint!r}; with HTTP it must begin with http:// or https://")
    return endpoint


def _of(name: str, signal: Telemetry) -> str:
    own = os.environ.get(f"{_PREFIX}{signal.upper()}_{name}", "").strip()
    return own or os.environ.get(f"{_PREFIX}{name}", "").strip()


def _headers(text: str) -> dict[str, str]:
    """Return ``key=value,key=value`` as headers; values may be percent-encoded."""
    pairs = (part.partition("=") for part in text.split(","))
    return {unquote(key).strip().lower(): unquote(value).strip() for key, mark, value in pairs if mark and key.strip()}


def _seconds(text: str) -> float:
    try:
        seconds = float(text or 10)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise ConfigurationError(f"{_PREFIX}TIMEOUT is {text!r}; it must be seconds, more than 0 and at most 3600")
    return seconds
