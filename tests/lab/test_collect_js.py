"""A gateway in JavaScript, with OpenTelemetry's own exporter (OTLP/JSON), needs nothing of ours to be readable."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from lab.codex import PATIENCE_S
from lab.test_collect import collecting
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.errors import NothingFoundError

MODULES = os.environ.get("TURNSCOPE_OTEL_JS")
"""The folder of npm with OpenTelemetry in it; `make lab` installs it."""

GATEWAY = Path(__file__).parent / "gateway.mjs"


@pytest.mark.lab
@pytest.mark.skipif(MODULES is None, reason="make lab installs OpenTelemetry for JavaScript")
def test_the_turn_that_hangs_is_told_while_it_does(tmp_path: Path) -> None:
    assert MODULES is not None
    kept, program = tmp_path / "kept", tmp_path / GATEWAY.name
    program.write_bytes(GATEWAY.read_bytes())
    # Node looks for modules beside the program that imports them.
    (tmp_path / "node_modules").symlink_to(Path(MODULES).resolve() / "node_modules")
    with collecting(kept) as collector:
        environment = {"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http}
        gateway = subprocess.Popen(["node", str(program)], env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert gateway.stdout is not None
            assert gateway.stdout.readline() == "hangs\n"
            give_up = time.monotonic() + PATIENCE_S
            while not (found := _stuck(kept)) and time.monotonic() < give_up:
                time.sleep(1.0)
            assert gateway.poll() is None
        finally:
            gateway.kill()
            gateway.communicate()

    assert found == ["chat-17"]
    assert b"landlord" not in b"".join(path.read_bytes() for path in kept.iterdir())


def _stuck(folder: Path) -> list[str]:
    """Return the sessions of the turns that are stuck."""
    try:
        report = analyze([folder], budgets={"upstream_completed": 2.0, "tool_result": 2.0}, everything=True)
    except NothingFoundError:
        return []
    assert report.rejects == ()
    return [turn.session_id for turn in report.turns if turn.state == "stuck"]
