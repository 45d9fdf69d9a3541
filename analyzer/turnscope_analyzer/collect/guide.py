"""What is printed: where to point exporters to at the start, and what was kept at the end."""

from __future__ import annotations

import json
import shlex
import socket
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.report.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.collect.addresses import Address
    from turnscope_analyzer.collect.store import Lost

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104, RUF100 -- looked for, not listened on
_CODEX: Final = {"exporter": "logs", "trace_exporter": "traces", "metrics_exporter": "metrics"}
_REFUSED: Final = {
    "malformed": "that could not be read",
    "too_large": "that was too large",
    "busy": "while too much was being received, or that came too slowly: their senders were told to try again",
    "no_room": "that could not be written: their senders were told to try again",
}


def beginning(folder: Path, http: Address, grpc: Address | None, *, with_token: bool) -> str:
    """Return what to say once it listens."""
    url = f"http://{_reached_at(http)}"
    lines = [
        f"collecting into {folder}; look into it at any time with: analyze {shlex.quote(str(folder))}",
        "",
        f"OTLP over HTTP: {url}",
        *([f"OTLP over gRPC: {_reached_at(grpc)}"] if grpc is not None else []),
        "",
        "for any OpenTelemetry exporter:",
        f"  export OTEL_EXPORTER_OTLP_ENDPOINT={url}",
    ]
    if with_token:
        lines.append('  export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$TURNSCOPE_COLLECT_TOKEN"')
    lines += ["", "for Codex, in its config.toml:", "  [otel]", *_codex(url, with_token=with_token)]
    lines += ["", "for OpenClaw, in its openclaw.json, beside the plugin diagnostics-otel:", f"  {_openclaw(url)}"]
    return "\n".join(lines) + "\n"


def ending(folder: Path, counts: Mapping[str, int], lost: Lost) -> str:
    """Return what to say at the end."""
    kept = f"{counted(counts['traces'], 'span')} and {counted(counts['logs'], 'log record')}"
    lines = [f"kept {kept} of {counted(counts['requests'], 'request')} in {folder}"]
    if counts["metrics"]:
        lines.append(f"counted {counted(counts['metrics'], 'metric data point')}; metrics are not kept")
    if counts["rejected"]:
        lines.append(f"rejected {counted(counts['rejected'], 'record')} that no reader could use")
    lines += (f"refused {counted(counts[why], 'request')} {words}" for why, words in _REFUSED.items() if counts[why])
    if lost.files:
        lines.append(
            f"deleted {counted(lost.files, 'file')}, {lost.n_bytes} bytes, because the folder was over its cap"
        )
    return "\n".join(lines) + "\n"


def _codex(url: str, *, with_token: bool) -> Iterator[str]:
    headers = ', headers = { authorization = "Bearer the-token" }' if with_token else ""
    for setting, signal in _CODEX.items():
        yield f'  {setting} = {{ otlp-http = {{ endpoint = "{url}/v1/{signal}", protocol = "binary"{headers} }} }}'


def _openclaw(url: str) -> str:
    signals = {"traces": True, "logs": True, "metrics": True}
    return json.dumps({"diagnostics": {"enabled": True, "otel": {"enabled": True, "endpoint": url, **signals}}})


def _reached_at(address: Address) -> str:
    """Return an address as a sender would write it."""
    return str(address._replace(host=socket.gethostname()) if address.host in _EVERYWHERE else address)
