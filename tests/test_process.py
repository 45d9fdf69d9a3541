"""Who is still there: told from host, boot, pid and start time, and never guessed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from turnscope.process import fate_of, identify

if TYPE_CHECKING:
    from pathlib import Path


def header(**changed: object) -> dict[str, object]:
    me = identify()
    return {"pid": me.pid, "pid_start": me.pid_start, "host": me.host, "boot": me.boot} | changed


def test_every_process_id_is_drawn_anew() -> None:
    assert len({identify().process_id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("changed", "fate"),
    [
        ({}, "running"),
        ({"pid_start": ""}, "running"),
        ({"boot": ""}, "running"),
        ({"pid_start": "1"}, "killed"),
        ({"boot": "another"}, "killed"),
        ({"pid": 2**22 + 1}, "killed"),
        ({"pid": 2**70}, "unknown"),
        ({"host": "elsewhere"}, "unknown"),
        ({"host": "elsewhere", "boot": "another"}, "unknown"),
        ({"pid": "12"}, "unknown"),
        ({"pid": -1}, "unknown"),
    ],
)
def test_the_fate_follows_from_what_the_header_says(changed: dict[str, object], fate: str) -> None:
    assert fate_of(header(**changed)) == fate


@pytest.mark.parametrize(("age_s", "fate"), [(None, "unknown"), (1, "unknown"), (61, "killed")])
def test_in_another_pid_namespace_only_a_long_silence_tells(age_s: int | None, fate: str) -> None:
    last_pulse_ns = None if age_s is None else time.time_ns() - age_s * 1_000_000_000

    assert fate_of(header(pid=2**22 + 1, pid_space="pid:[1]"), last_pulse_ns) == fate


def test_a_dead_process_that_nobody_waited_for_is_gone() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        fate = fate_of(header(pid=child.pid, pid_start=""))

    assert fate == "killed"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_program_with_parentheses_in_its_name_is_recognised(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    shutil.copy("/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        fate = fate_of(header(pid=process.pid, pid_start=""))
        wrong = fate_of(header(pid=process.pid, pid_start="1"))

    assert (fate, wrong) == ("running", "killed")
