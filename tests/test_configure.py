from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

import turnscope
from helpers import run_python

if TYPE_CHECKING:
    from pathlib import Path


def test_a_forked_child_leaves_the_turn_to_its_parent(tmp_path: Path) -> None:
    program = (
        "import os, turnscope, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)  # of Python 3.12, about any fork beside a thread\n"
        "turnscope.configure('.')\n"
        "with turnscope.turn('s', turn_id='t') as turn:\n"
        "    if os.fork() == 0:\n"
        "        raise SystemExit\n"
        "    os.wait()\n"
    )
    assert run_python(program, tmp_path).stderr == ""

    text = b"".join(path.read_bytes() for path in tmp_path.glob("*.jsonl"))
    assert re.findall(rb'"turn":"t".*?"phase":"(\w+)"', text) == [b"accepted", b"started", b"completed"]


def test_marks_are_on_disk_when_the_process_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, turnscope\n"
        "turnscope.configure('.')\n"
        "with turnscope.turn('s') as turn, turn.upstream():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = run_python(program, tmp_path)

    assert done.returncode == -signal.SIGKILL
    text = b"".join(path.read_bytes() for path in tmp_path.glob("*.jsonl"))
    assert re.findall(rb'"phase":"(\w+)"', text) == [b"accepted", b"started", b"upstream_sent"]


def test_a_process_that_exits_names_its_open_turns(tmp_path: Path) -> None:
    program = "import turnscope; turnscope.configure('.'); turnscope.accept('s', turn_id='left')"
    assert run_python(program, tmp_path).stderr == ""

    text = b"".join(path.read_bytes() for path in tmp_path.glob("*.jsonl"))
    assert b'"open":["left"]' in text


def test_the_turns_of_a_killed_process_come_back(tmp_path: Path) -> None:
    program = (
        "import os, signal, turnscope\n"
        "turnscope.configure('.', inbox=True)\n"
        "with turnscope.turn('s', turn_id='t', prompt='hello') as turn, turn.upstream():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run_python(program, tmp_path)

    turnscope.configure(tmp_path)
    try:
        orphans = turnscope.recover()
        again = turnscope.recover()
    finally:
        turnscope.shutdown()

    assert [(orphan.turn_id, orphan.phase, orphan.prompt) for orphan in orphans] == [("t", "upstream_sent", "hello")]
    assert again == []
    assert list(tmp_path.glob("inbox/*")) == []


def test_before_anything_is_configured_everything_runs_and_one_warning_says_so(tmp_path: Path) -> None:
    program = (
        "import turnscope\n"
        "@turnscope.turn\n"
        "def answer(session):\n"
        "    with turnscope.upstream() as upstream, turnscope.tool('t'):\n"
        "        upstream.progress(1)\n"
        "    turnscope.recover()\n"
        "    return turnscope.current_turn().id\n"
        "assert len(answer('s')) == 12 and answer('s') != answer('s')\n"
    )
    done = run_python(program, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("turnscope is not configured") == 1
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_switched_off_from_outside(tmp_path: Path) -> None:
    program = (
        "import turnscope\n"
        "turnscope.configure('traces')\n"
        "with turnscope.turn('s') as turn, turn.upstream() as upstream:\n"
        "    upstream.progress(1)\n"
    )
    done = run_python(program, tmp_path, TURNSCOPE_DISABLED="1")

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budgets": {"thinking": 5}}, "'thinking' is not a phase"),
        ({"budgets": {"awaiting_approval": 5}}, "has no budget"),
        ({"budgets": {"upstream_sent": (300, 120)}}, "seconds until stuck"),
        ({"budgets": {"upstream_sent": -1}}, "seconds until stuck"),
        ({"budgets": {"upstream_sent": True}}, "seconds until stuck"),
        ({"segment_bytes": 10}, "segment_bytes is 10"),
        ({"cap_bytes": 8 << 20}, "cap_bytes"),
        ({"keep_days": 0}, "keep_days"),
        ({"service": 4}, "service must be a string"),
        ({"on_stuck": "x"}, "on_stuck a function"),
        ({"journal": "/dev/null/traces"}, "cannot record into"),
    ],
)
def test_a_setting_that_cannot_work_is_said_at_once(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(turnscope.ConfigurationError, match=re.escape(message)):
        turnscope.configure(**{"journal": tmp_path, **settings})

    assert list(tmp_path.iterdir()) == []


def test_budgets_stand_in_the_header_as_slow_and_stuck(tmp_path: Path) -> None:
    turnscope.configure(tmp_path, service="gw", budgets={"upstream_sent": 60, "tool_call": (1, 2)})
    turnscope.accept("s")
    turnscope.shutdown()

    header = next(tmp_path.glob("*.jsonl")).read_bytes().split(b"\n")[0]
    assert b'"budgets":{"upstream_sent":[60,60],"tool_call":[1,2]}' in header
    assert b'"service":"gw"' in header


def test_accepted_can_wait_for_the_disk(tmp_path: Path) -> None:
    recorder = turnscope.configure(tmp_path, sync_accepted=True)
    try:
        turnscope.accept("s")
        assert recorder.sync is not None
        assert b'"accepted"' in next(tmp_path.glob("*.jsonl")).read_bytes()
    finally:
        turnscope.shutdown()
