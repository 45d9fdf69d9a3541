from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from helpers import run_python
from reports import S
from turnscope.phases import CAUSES
from turnscope_analyzer import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import click
    from click.testing import Result

HEALTHY_AND_HANGING = """
import os, signal, turnscope

turnscope.configure("traces")
with turnscope.turn(session="chat-1", turn_id="well"), turnscope.upstream(model="m") as request:
    request.headers(200)
hangs = turnscope.accept("chat-2", turn_id="hangs-1")
with hangs, turnscope.upstream(model="m") as request:
    request.headers(200)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a journal whose process was killed in a turn; another turn had ended well."""
    run_python(HEALTHY_AND_HANGING, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURNSCOPE_JOURNAL", raising=False)
    return tmp_path


def analyze(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.analyze, arguments, env=environment, prog_name="analyze")


def test_the_default_journal_is_read_and_its_stuck_turn_sets_the_exit_code(folder: Path) -> None:
    result = analyze()

    assert result.exit_code == cli.EXIT_STUCK
    assert result.stdout.startswith("2 turns: 1 orphaned, 1 healthy · journal traces · as of 20")
    assert "ORPHANED process_lost · turn hangs-1 · session chat-2\n" in result.stdout
    assert re.search(r"\n  evidence   traces/\S+\.jsonl:\d+ ", result.stdout)
    assert result.stderr == ""


def test_the_variable_names_the_journal(folder: Path) -> None:
    (folder / "traces").rename(folder / "elsewhere")

    assert "journal elsewhere" in analyze(TURNSCOPE_JOURNAL=str(folder / "elsewhere")).stdout


def test_turnscope_analyze_is_analyze(folder: Path) -> None:
    result = CliRunner().invoke(cli.main, ["analyze", "traces"])

    assert (result.exit_code, result.stdout) == (cli.EXIT_STUCK, analyze("traces").stdout)


def test_a_healthy_turn_alone_is_success(folder: Path) -> None:
    result = analyze("--turn", "well")

    assert result.exit_code == cli.EXIT_OK
    assert result.stdout.startswith("turn well · session chat-1 · accepted ")


def test_the_beginning_of_an_id_is_enough(folder: Path) -> None:
    result = analyze("--turn", "han")

    assert result.exit_code == cli.EXIT_STUCK
    assert result.stdout.startswith("turn hangs-1 · ")
    assert "response_headers" in result.stdout


def test_an_unknown_turn_says_how_to_find_it(folder: Path) -> None:
    result = analyze("--turn", "nope\x1b[2J")

    assert result.exit_code == cli.EXIT_ERROR
    assert result.stderr == "Error: no turn begins with 'nope\\x1b[2J'. --all lists every turn.\n"


def test_an_ambiguous_id_names_the_turns(folder: Path) -> None:
    second = HEALTHY_AND_HANGING.replace("hangs-1", "hangs-2")
    run_python(second, folder)

    result = analyze("--turn", "hangs")

    assert result.exit_code == cli.EXIT_USAGE
    assert "2 turns begin with it: hangs-1, hangs-2. Give more of the id." in result.stderr


def test_a_whole_id_wins_over_longer_ones_that_begin_with_it(folder: Path) -> None:
    run_python(HEALTHY_AND_HANGING.replace("hangs-1", "hangs-12"), folder)

    assert analyze("--turn", "hangs-1").stdout.startswith("turn hangs-1 · ")


def test_json_goes_to_stdout_alone(folder: Path) -> None:
    result = analyze("--json")

    states = {turn["turn_id"]: turn["state"] for turn in json.loads(result.stdout)["turns"]}
    assert states == {"hangs-1": "orphaned", "well": "healthy"}
    assert result.exit_code == cli.EXIT_STUCK
    assert result.stderr == ""


def test_markdown_says_what_runs_and_keeps_the_session_private(folder: Path) -> None:
    result = analyze("--markdown")

    assert f"| python | CPython {sys.version.split()[0]} |" in result.stdout
    assert "### orphaned: `process_lost`, turn `hangs-1`" in result.stdout
    assert "chat-2" not in result.stdout


def test_all_and_session_list_healthy_turns(folder: Path) -> None:
    assert "HEALTHY · turn well" not in analyze().stdout
    assert "HEALTHY · turn well" in analyze("--all").stdout
    assert "HEALTHY · turn well" in analyze("--session", "chat-1").stdout


def test_a_cause_narrows_the_report(folder: Path) -> None:
    assert "turn hangs-1" in analyze("--cause", "process-lost").stdout
    assert analyze("--cause", "hydration").stdout.startswith("no turns")


def test_turns_that_ended_before_since_are_left_out(folder: Path) -> None:
    assert "turn hangs-1" in analyze("--since", "1h").stdout
    assert analyze("--since", "2262-01-01").stdout.startswith("no turns")


def test_ago_counts_from_the_time_that_is_judged_by(folder: Path) -> None:
    in_two_hours = str(time.time_ns() + 7200 * S)

    told = json.loads(analyze("--json", "--now", in_two_hours, "--since", "1h").stdout)

    assert [turn["turn_id"] for turn in told["turns"]] == ["hangs-1"]


def test_a_later_horizon_makes_a_wait_a_stall_and_a_larger_budget_does_not(folder: Path) -> None:
    in_an_hour = str(time.time_ns() + 3600 * S)

    patient = ("--budget", "response_headers=9e6")
    assert "ORPHANED model_stall · turn hangs-1" in analyze("--now", in_an_hour).stdout
    assert "ORPHANED process_lost · turn hangs-1" in analyze("--now", in_an_hour, *patient).stdout


def test_a_missing_default_says_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURNSCOPE_JOURNAL", raising=False)

    result = analyze()

    assert result.exit_code == cli.EXIT_ERROR
    assert result.stdout == ""
    assert "no PATH was given, and the default journal, traces, does not exist. Give the folder" in result.stderr


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        pytest.param(lambda _path: None, "does not exist. Point at the folder", id="missing"),
        pytest.param(lambda path: path.mkdir(), "it holds no file", id="empty"),
        pytest.param(lambda path: path.write_text("hello\n"), "none of the 1 files in it is known", id="unknown"),
    ],
)
def test_input_that_cannot_be_judged_is_an_error_with_the_next_step(
    tmp_path: Path, prepare: Callable[[Path], object], said: str
) -> None:
    prepare(tmp_path / "x")

    result = analyze(str(tmp_path / "x"))

    assert result.exit_code == cli.EXIT_ERROR
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_the_help_names_every_cause_and_every_exit_code() -> None:
    said = " ".join(analyze("--help").stdout.split())

    assert re.findall(r"this cause: ([^.]*)\.", said)[0].split(", ") == list(CAUSES)
    for code in (cli.EXIT_OK, cli.EXIT_ERROR, cli.EXIT_USAGE, cli.EXIT_STUCK):
        assert re.search(rf"Exit codes:.* {code} ", said)


def test_help_loads_neither_the_engine_nor_the_recorder(tmp_path: Path) -> None:
    program = """
import sys
from turnscope_analyzer.cli import main
try:
    main(["analyze", "--help"])
except SystemExit:
    print(*sorted(sys.modules), file=sys.stderr)
"""
    loaded = set(run_python(program, tmp_path).stderr.split())

    assert "turnscope_analyzer.cli" in loaded
    assert not loaded & {"duckdb", "orjson", "dataclasses", "turnscope", "opentelemetry", "importlib.metadata"}


@pytest.mark.parametrize("command", [cli.main, cli.analyze])
def test_version_is_said(command: click.Command) -> None:
    result = CliRunner().invoke(command, ["--version"])

    assert result.exit_code == cli.EXIT_OK
    assert re.fullmatch(r"turnscope (\d+\.\d+\.\S+|from a checkout)\n", result.stdout)


@pytest.mark.parametrize(
    ("given", "environment", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
    ],
)
def test_a_pipe_is_coloured_only_if_asked_for(
    folder: Path,
    given: list[str],
    environment: dict[str, str],
    coloured: bool,  # noqa: FBT001 -- a parameter
) -> None:
    assert ("\x1b[" in analyze(*given, **environment).stdout) is coloured


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_is_coloured_unless_the_user_does_not_want_it(
    folder: Path,
    environment: dict[str, str],
    coloured: bool,  # noqa: FBT001 -- a parameter
) -> None:
    assert ("\x1b[1;31mORPHANED" in on_a_terminal(folder, environment)) is coloured


def on_a_terminal(folder: Path, environment: dict[str, str]) -> str:
    """Run ``analyze`` with a real terminal of 90 columns as its standard output, and return what it shows."""
    ours, theirs = os.openpty()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm", "COLUMNS": "90"}
    env.pop("NO_COLOR", None)
    program = [sys.executable, "-c", "from turnscope_analyzer.cli import analyze; analyze()"]
    with subprocess.Popen(program, cwd=folder, env={**env, **environment}, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        process.wait(timeout=30)
    os.close(ours)
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says EIO, not end of file, once nobody holds the other side
        return b""


def test_a_reader_that_has_had_enough_is_no_error(folder: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = [sys.executable, "-c", "from turnscope_analyzer.cli import analyze; analyze()"]
    reader, writer = os.pipe()
    os.close(reader)

    result = subprocess.run(
        program, cwd=folder, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(writer)

    assert (result.returncode, result.stderr) == (cli.EXIT_STUCK, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_no_blocks_gets_ascii(folder: Path, encoding: str) -> None:
    program = "from turnscope_analyzer.cli import analyze; analyze()"

    result = run_python(program, folder, PYTHONIOENCODING=encoding)

    assert result.returncode == cli.EXIT_STUCK
    assert result.stdout.startswith("2 turns: 1 orphaned, 1 healthy | journal traces | ")
    assert result.stdout.isascii()
