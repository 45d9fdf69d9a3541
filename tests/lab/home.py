"""A CODEX_HOME of its own for each run: its settings, and what there is to read in it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final, Literal, get_args

from lab.collector import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Level = Literal["rollout", "logdb", "otlp"]
"""How much of a run is read: its rollout alone, its whole home with the log database, or rollout and OTLP."""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

_CONFIG: Final = """\
model = "gpt-5.5"
model_provider = "lab"
approval_policy = {approval}
sandbox_mode = {sandbox}
check_for_update_on_startup = false
model_context_window = 100000
model_auto_compact_token_limit = 40000

[features]
plugins = false
apps = false

[model_providers.lab]
name = "lab"
base_url = {model}
wire_api = "responses"
env_key = "LAB_KEY"
requires_openai_auth = false
request_max_retries = 1
stream_max_retries = 1
stream_idle_timeout_ms = {idle_ms}

[analytics]
enabled = false

[otel]
environment = "lab"
log_user_prompt = false
{otel}
"""
Protocol = Literal["json", "binary", "grpc"]
"""How Codex exports: OTLP over HTTP in either encoding, or over gRPC."""

_EXPORTERS: Final = {"logs": "exporter", "traces": "trace_exporter", "metrics": "metrics_exporter"}


class Home:
    """A CODEX_HOME, a project to work in, and the folder of what is exported."""

    def __init__(self, folder: Path, exported: Path) -> None:
        self.path = folder / "codex-home"
        self.project = folder / "project"
        self.exported = exported
        self.path.mkdir(parents=True)
        self.project.mkdir()

    def configure(
        self, model_url: str, otlp_url: str, *, idle_ms: int, approval: str, protocol: Protocol = "json"
    ) -> None:
        """Write the settings: a model of ours, no account, nothing sent anywhere else."""
        exporters = (f"{_EXPORTERS[signal]} = {{ {_exporter(otlp_url, signal, protocol)} }}" for signal in SIGNALS)
        text = _CONFIG.format(
            model=json.dumps(f"{model_url}/v1"),
            idle_ms=idle_ms,
            approval=json.dumps(approval),
            # Without a sandbox there is nothing that a person could be asked for.
            sandbox=json.dumps("danger-full-access" if approval == "never" else "read-only"),
            otel="\n".join(exporters),
        )
        (self.path / "config.toml").write_text(text, encoding="utf-8")

    def environment(self) -> Mapping[str, str]:
        """Return what Codex may see of this machine: where programs are, and nothing of the user."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.path.parent),
            "CODEX_HOME": str(self.path),
            "LAB_KEY": "none",
            "NO_PROXY": "127.0.0.1",
        }

    def rollouts(self) -> list[Path]:
        """Return the rollouts, oldest first."""
        return sorted((self.path / "sessions").rglob("rollout-*.jsonl"))

    def to_read(self, level: Level) -> list[Path]:
        """Return what a person would give to ``analyze`` to have this much read."""
        sessions = self.path / "sessions"
        return {"rollout": [sessions], "logdb": [self.path], "otlp": [sessions, self.exported]}[level]


def _exporter(url: str, signal: str, protocol: Protocol) -> str:
    if protocol == "grpc":
        return f'otlp-grpc = {{ endpoint = "{url}" }}'
    return f'otlp-http = {{ endpoint = "{url}/v1/{signal}", protocol = "{protocol}" }}'
