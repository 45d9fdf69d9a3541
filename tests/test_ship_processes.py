"""Turns that one process began and another one had afterwards, or nobody: what becomes of their spans."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from helpers import run_python
from ship_kit import attributes, by_name, sent_once, spans_of

if TYPE_CHECKING:
    from pathlib import Path

KILLED = (
    "import os, signal, turnscope\n"
    "turnscope.configure('.', otlp=False)\n"
    "turn = turnscope.accept('s', turn_id='t')\n"
    "turn.mark('started')\n"
    "turn.mark('upstream_sent', '1', model='m')\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)


def test_the_spans_of_a_killed_process_end_at_its_last_proof_of_life(tmp_path: Path) -> None:
    assert run_python(KILLED, tmp_path).returncode == -signal.SIGKILL

    spans = by_name(sent_once(tmp_path))

    assert sorted(spans) == ["chat m", "invoke_agent", "turnscope.turn.accepted"]
    lost = [spans["chat m"], spans["invoke_agent"]]
    assert {(span.status.status_code, attributes(span)["error.type"]) for span in lost} == {
        (StatusCode.ERROR, "process_lost")
    }
    assert len({span.end_time for span in lost}) == 1
    assert all((span.end_time or 0) >= (span.start_time or 0) for span in lost)


def test_a_turn_that_was_recovered_before_or_after_is_sent_once(tmp_path: Path) -> None:
    run_python(KILLED, tmp_path)
    before = sent_once(tmp_path)
    program = "import turnscope; turnscope.configure('.', otlp=False); print(len(turnscope.recover()))"
    assert run_python(program, tmp_path).stdout == "1\n"

    after = sent_once(tmp_path)
    whole = spans_of(tmp_path)

    assert after == []
    assert sorted(span.name for span in whole) == sorted(span.name for span in before)
    assert {attributes(span)["error.type"] for span in whole if span.name == "invoke_agent"} == {"process_lost"}


def test_a_turn_that_goes_on_in_another_process_has_a_span_in_each(tmp_path: Path) -> None:
    run_python(KILLED, tmp_path)
    program = (
        "import turnscope\n"
        "turnscope.configure('.', otlp=False)\n"
        "for orphan in turnscope.recover():\n"
        "    with turnscope.resume(orphan.turn_id, orphan.session):\n"
        "        pass\n"
    )
    assert run_python(program, tmp_path).stderr == ""

    spans = [span for span in spans_of(tmp_path) if span.name == "invoke_agent"]

    assert {attributes(span)["turnscope.turn.outcome"] for span in spans} == {"interrupted", "completed"}
    assert len({span.context.trace_id for span in spans}) == 1
    assert len({span.context.span_id for span in spans}) == 2


def test_a_lane_of_a_forked_child_hangs_under_the_turn_of_its_parent(tmp_path: Path) -> None:
    program = (
        "import os, turnscope, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "turnscope.configure('.', otlp=False)\n"
        "with turnscope.turn('s') as turn:\n"
        "    if os.fork() == 0:\n"
        "        with turn.tool('shell'):\n"
        "            pass\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    assert run_python(program, tmp_path).stderr == ""

    spans = by_name(spans_of(tmp_path))

    tool = spans["execute_tool shell"]
    assert tool.parent is not None
    assert tool.parent.span_id == spans["invoke_agent"].context.span_id
    assert (
        tool.resource.attributes["service.instance.id"]
        != spans["invoke_agent"].resource.attributes["service.instance.id"]
    )
