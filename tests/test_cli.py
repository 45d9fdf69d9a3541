from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from helpers import run_python
from reports import S
from turnscope.phases import CAUSES
from turnscope_analyzer import arguments, cli
from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.progress import Progress
from turnscope_analyzer.report.wording import iso_instant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--budget", "fist_byte=6"], "'fist_byte' is no phase; did you mean first_byte"),
        (["--budget", "zzz=6"], "'zzz' is no phase; phases are accepted, queued, "),
        (["--budget", "first_byte"], "'first_byte' has no '='."),
        (["--budget", "first_byte=soon"], "'soon' is no number of seconds."),
        (["--budget", "first_byte=0"], "a budget of 0 seconds cannot be kept"),
        (["--budget", "first_byte=nan"], "a budget of nan seconds cannot be kept"),
        (["--budget", "awaiting_approval=9"], "awaiting_approval has no budget"),
        (["--cause", "stall"], f"'stall' is no cause. Causes: {', '.join(CAUSES)}."),
        (["--since", "yesterday"], "'yesterday' is no time. Write 2h, 30m or 3d, or 2026-11-21T05:12:07Z."),
        (["--now", "3000-01-01"], "'3000-01-01' is no time."),
        (["--json", "--markdown"], "--json and --markdown exclude each other."),
    ],
)
def test_a_wrong_option_says_what_is_right(given: list[str], said: str) -> None:
    result = analyze("traces", *given)

    assert result.exit_code == cli.EXIT_USAGE
    assert said in " ".join(result.stderr.split())


def test_several_budgets_can_be_given_and_the_last_of_a_phase_counts() -> None:
    assert [arguments.budget(text) for text in ("first_byte=600", " queued = .5 ")] == [
        ("first_byte", 600),
        ("queued", 0.5),
    ]


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2026-11-21T05:05:56Z", 1_795_237_556 * S),
        ("2026-11-21 05:05:56Z", 1_795_237_556 * S),
        ("2026-11-21T06:05:56+01:00", 1_795_237_556 * S),
        ("2026-11-21T05:05:56.000000001", 1_795_237_556 * S + 1),
        ("2026-11-21T05:05", 1_795_237_500 * S),
        ("2026-11-21", 1_795_219_200 * S),
        ("1795237556", 1_795_237_556 * S),
        ("1795237556.25", 1_795_237_556 * S + S // 4),
        ("1795237556000000007", 1_795_237_556 * S + 7),
    ],
)
def test_a_time_can_be_written_as_people_and_programs_do(text: str, at_ns: int) -> None:
    assert arguments.parse_instant(text) == at_ns


@given(st.integers(0, 2**63 - 1))
def test_every_time_that_a_report_prints_can_be_given_back(at_ns: int) -> None:
    assert arguments.parse_instant(iso_instant(at_ns)) == at_ns
    assert arguments.parse_instant(instant_words(at_ns)) == at_ns // S * S


@given(st.text(alphabet="0123456789-:TZ+. ", max_size=30))
def test_a_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= arguments.parse_instant(text) < 2**63


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


def test_version_is_said() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])

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


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_after_a_second_at_most_ten_times_a_second_and_wiped() -> None:
    seconds = iter([0.0, 0.9, 1.0, 1.05, 1.1])
    stream = Terminal()
    progress = Progress(stream, clock=seconds.__next__)

    for done in (10, 20, 30, 40):
        progress(done, 100)
    progress.wipe()

    assert stream.getvalue() == "\rreading: 20 %\rreading: 40 %\r\x1b[K"


def test_a_load_that_is_quick_or_not_on_a_terminal_shows_nothing() -> None:
    quick, piped = Terminal(), io.StringIO()

    for stream, seconds in ((quick, iter([0.0, 0.5])), (piped, iter([0.0, 99.0]))):
        progress = Progress(stream, clock=seconds.__next__)
        progress(50, 100)
        progress.wipe()

    assert quick.getvalue() == piped.getvalue() == ""
