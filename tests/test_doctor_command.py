"""The command: what it prints, for people and for programs, its exit codes, and that it only reads."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from codex_home_kit import recorded_home
from helpers import run_python
from openclaw_kit import KEY, State, laid_out
from turnscope_analyzer import cli
from turnscope_analyzer.doctor.codes import CODE
from turnscope_analyzer.doctor.report import MAX_OF_A_CODE

if TYPE_CHECKING:
    from click.testing import Result

PAGE = Path(__file__).parent.parent / "docs" / "doctor.md"


def doctor(*words: object) -> Result:
    return CliRunner().invoke(cli.main, ["doctor", *map(str, words)])


def told(*words: object) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(doctor("--json", *words).stdout)
    return content


@pytest.fixture
def zombie(tmp_path: Path) -> Path:
    return laid_out("2026.4.2/seed_zombie_row", tmp_path) / "state"


def test_the_stores_stand_first_and_each_finding_has_all_that_is_asked_for(zombie: Path) -> None:
    result = doctor(zombie)

    assert (result.exit_code, result.stderr) == (cli.EXIT_FOUND, "")
    assert re.sub(r"\s+", "", result.stdout).startswith(re.sub(r"\s+", "", f"OpenClaw state folder: {zombie} given"))
    block = result.stdout[result.stdout.index("ERROR ZOMBIE_RUNNING") :]
    assert re.findall(r"^  (proof|lost|harm|restart|repair) ", block, re.MULTILINE) == [
        "proof",
        "harm",
        "restart",
        "repair",
    ]
    assert result.stdout.endswith("\n1 error\n")


def test_a_healthy_home_is_success(tmp_path: Path) -> None:
    result = doctor(recorded_home("0.169-healthy", tmp_path))

    assert result.exit_code == cli.EXIT_OK
    assert result.stdout.endswith("\nnothing found\n")


def test_warnings_are_success(tmp_path: Path) -> None:
    result = doctor(recorded_home("0.169-no-headers", tmp_path))

    assert result.exit_code == cli.EXIT_OK
    assert result.stdout.endswith("\n1 warning\n")


def test_what_is_not_there_and_what_holds_nothing_are_errors(tmp_path: Path) -> None:
    assert doctor(tmp_path / "nowhere").exit_code == cli.EXIT_ERROR
    assert "nothing to analyze" in doctor(tmp_path).stderr


def test_a_home_that_nobody_has_used_yet_is_only_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    State(tmp_path / ".openclaw").user(0).answer(5)
    (tmp_path / ".codex").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))

    result = doctor()

    assert result.exit_code == cli.EXIT_OK
    assert "holds no records yet" in " ".join(result.stdout.split())


def test_many_findings_of_a_code_are_counted(tmp_path: Path) -> None:
    state = State(tmp_path / ".openclaw")
    for number in range(MAX_OF_A_CODE + 3):
        state.row(f"agent:main:{number:02}", f"s-{number}", status="running", startedAt=0, endedAt=1)

    text = doctor(state.root).stdout

    assert text.count("ERROR ZOMBIE_RUNNING") == MAX_OF_A_CODE
    assert "and 3 more ZOMBIE_RUNNING (--json lists them)" in text
    assert [one["code"] for one in told(state.root)["findings"]] == ["ZOMBIE_RUNNING"] * (MAX_OF_A_CODE + 3)


def test_nothing_in_a_home_reaches_the_terminal_unescaped(tmp_path: Path) -> None:
    state = State(tmp_path / ".openclaw")
    state.row("agent:\x1b[31mred", "s-\x1b[2J", status="running", startedAt=0, endedAt=1)

    result = doctor(state.root)

    assert result.exit_code == cli.EXIT_FOUND
    assert "\x1b" not in result.stdout


def test_the_text_of_a_conversation_is_never_printed(tmp_path: Path) -> None:
    state = State(tmp_path / ".openclaw").user(0).answer(5, "a-secret-answer")
    state.row(status="running", startedAt=0, endedAt=1)

    for text in (doctor(state.root).stdout, doctor(state.root, "--json").stdout):
        assert "a-secret-answer" not in text
        assert "Do the thing" not in text


def test_the_json_holds_what_the_page_promises(zombie: Path) -> None:
    content = told(zombie)

    page = PAGE.read_text("utf-8").partition("## The report for programs")[2].partition("## The codes")[0]
    named = set(re.findall(r"`(\w+)`", page))
    [home], [finding] = content["homes"], content["findings"]
    parts = (content, home, home["stores"][0], home["messages"], home["restart"], finding, finding["records"][0])
    assert {key for part in parts for key in part} <= named
    assert content["schema"] == 1
    assert (finding["code"], finding["severity"], finding["fixable"]) == ("ZOMBIE_RUNNING", "error", True)
    assert finding["records"][0]["values"]["status"] == "running"
    assert finding["harm"] == CODE["ZOMBIE_RUNNING"].harm
    assert finding["session_id"] == KEY
    assert home["stores"][0]["real_path"] == str(zombie.resolve())


def test_lost_messages_stand_in_the_json_by_time_and_run(tmp_path: Path) -> None:
    content = told(laid_out("2026.5.22/compaction_silent_drop", tmp_path))

    lost = [message for finding in content["findings"] for message in finding["lost"]]
    assert len(lost) == content["homes"][0]["messages"]["lost"] == 8
    assert set(lost[0]) == {"accepted", "session_id", "run_id", "sha256"}


def test_a_home_is_only_read(tmp_path: Path) -> None:
    home = recorded_home("0.169-healthy", tmp_path)
    laid_out("2026.9.6/seed_shadow_store", home)

    def look() -> dict[str, tuple[int, str]]:
        files = (path for path in home.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}

    before = look()
    doctor(home)

    assert look() == before


def test_help_does_not_load_what_the_command_needs(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom turnscope_analyzer.cli import main\n"
        "main(['doctor', '--help'], standalone_mode=False)\n"
        "print([name for name in ('duckdb', 'orjson', 'sqlite3') if name in sys.modules])\n"
    )

    assert run_python(program, tmp_path).stdout.endswith("[]\n")
