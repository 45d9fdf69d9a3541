"""The README's report is what ``analyze`` prints of a turn that hung, and its table has every cause."""

from __future__ import annotations

import contextvars
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import turnscope
from docs_kit import ROOT, blocks, examples, gateway, leave_an_orphan, phases_after, run
from turnscope.journal import Journal
from turnscope.phases import CAUSES
from turnscope.recorder import Recorder, activate
from turnscope.testing import StepClock
from turnscope_analyzer.cli import EXIT_STUCK, analyze

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

README = ROOT / "README.md"
MAX_LINES = 120
COLUMNS = 104
PROCESS_ID = "a1b2c3d4e5f6"
HOST: dict[str, Any] = {"pid": 4711, "pid_start": "813", "host": "gw-1", "boot": "0b3e", "sdk": "0.1.0"}


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The journal of a gateway, as it looks on another host than the one it was recorded on."""
    monkeypatch.chdir(tmp_path)
    clock = StepClock()
    journal = Journal(
        tmp_path / "recorded", wall_ns=clock.wall_ns, mono_ns=clock.mono_ns, boot_ns=clock.mono_ns, pulse_s=None
    )
    ids = iter(("k3v9q2m70001", "k3v9q2m70002", "k3v9q2m7x1ab", "k3v9q2m7x1ac"))
    before = activate(Recorder(journal, wall_ns=clock.wall_ns, mono_ns=clock.mono_ns, new_id=ids.__next__))

    def wait(seconds: float) -> None:
        while seconds > 0:
            clock.step(min(seconds, 1))
            journal.pulse()
            seconds -= 1

    try:
        contextvars.copy_context().run(record, wait)  # two turns stay open, and must not for the tests after this
        carry_over(tmp_path / "recorded", tmp_path / "traces", journal.process_id)
        yield tmp_path / "traces"
    finally:
        activate(before)
        journal.close([])


def record(wait: Callable[[float], None]) -> None:
    """Two turns go well, one waits for a person, and one hangs after its response's headers."""
    for _ in range(2):
        with turnscope.turn("chat-3"), turnscope.upstream(model="large") as upstream:
            wait(0.4)
            upstream.headers(200)
            upstream.item("text")
            wait(4)
    waiting, hanging = turnscope.accept("chat-8"), turnscope.accept("chat-17")
    waiting.__enter__().tool("shell", call_id="call_7").__enter__().awaiting_approval()
    hanging.__enter__()
    with hanging.hydration() as hydration:
        wait(3.2)
        hydration.done(records=5200)
    upstream = hanging.upstream(model="large").__enter__()
    wait(1.4)
    upstream.headers(200)
    for _ in range(6):
        wait(61.9)
        upstream.keepalive()
    wait(1)


def carry_over(recorded: Path, traces: Path, process_id: str) -> None:
    """Copy a journal with a fixed host and process id: the drawn ones differ from run to run, also in length."""
    traces.mkdir()
    for path in recorded.iterdir():
        copied = traces / path.name.replace(process_id, PROCESS_ID)
        shutil.copy(path, copied)
        content = copied.read_bytes().replace(process_id.encode(), PROCESS_ID.encode())
        if copied.suffix == ".jsonl":
            first, rest = content.split(b"\n", 1)
            content = json.dumps(json.loads(first) | HOST, separators=(",", ":")).encode() + b"\n" + rest
        copied.write_bytes(content)


def test_the_report_is_what_analyze_prints(traces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))

    done = CliRunner().invoke(analyze, [traces.name])

    assert done.exit_code == EXIT_STUCK, done.output
    assert f"$ analyze {traces.name}/\n{done.stdout}" == blocks(README, "console")[0]


def test_its_gateway_records_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    leave_an_orphan(tmp_path)
    monkeypatch.chdir(tmp_path)
    seen: set[tuple[str, int]] = set()
    phases_after(tmp_path / "traces", seen)
    names = gateway(loop)
    for example in examples(README):
        run(README, example, names, loop)

    loop.run_until_complete(drained(names["answer"]("chat-17", "hello")))
    answered = phases_after(tmp_path / "traces", seen)
    names["on_message"]("chat-17", "hello")
    queued = phases_after(tmp_path / "traces", seen)
    names["work"]()
    worked = phases_after(tmp_path / "traces", seen)
    names["after_a_restart"]()
    recovered = phases_after(tmp_path / "traces", seen)

    begun = ["accepted", "started", "hydration_started", "hydration_completed"]
    streamed = ["upstream_sent", "response_headers", "first_byte", "upstream_completed"]
    assert answered == [*begun, *streamed, "completed"]
    assert queued == ["accepted", "queued"]
    assert worked == ["started", "tool_call", "tool_result", "completed"]
    assert recovered == ["interrupted", "started", "completed"]


async def drained(items: AsyncIterator[str]) -> list[str]:
    return [item async for item in items]


def test_every_cause_is_in_the_table_of_verdicts() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", README.read_text("utf-8"), re.MULTILINE)

    assert rows == list(CAUSES)


def test_it_can_be_read_in_one_go() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MAX_LINES
