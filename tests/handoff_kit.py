"""What the tests of `handoff` share: threads made by hand, the command, and parts of what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from click.testing import CliRunner

from codex_kit import CAPTURES, THREAD, Rollout
from turnscope_analyzer import cli
from turnscope_analyzer.handoff.codex import read_codex

if TYPE_CHECKING:
    from click.testing import Result

    from turnscope_analyzer.handoff.story import Story


GOLDEN = Path(__file__).parent / "golden"
SECRET = "sk-proj-abcdefghijklmnop1234"


def story_of(rollout: Rollout) -> Story:
    rollout.read()
    return read_codex(rollout.path)


def at_work(tmp_path: Path) -> Rollout:
    """Return a thread with a prompt in a turn that has not ended."""
    path = tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    return Rollout(path).meta(cwd="/home/user/project").started("t1").add("event_msg", "user_message", message="First.")


def ran(rollout: Rollout, call_id: str, command: str, output: object) -> Rollout:
    rollout.call(call_id, orjson.dumps({"cmd": command}).decode())
    return rollout.add("response_item", "function_call_output", call_id=call_id, output=output)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["handoff", *arguments])


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def session_of(name: str) -> str:
    return str(orjson.loads((CAPTURES / f"{name}.jsonl").read_bytes().partition(b"\n")[0])["payload"]["id"])
