from __future__ import annotations

import contextlib

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from reports import S
from turnscope.phases import CAUSES
from turnscope_analyzer import arguments
from turnscope_analyzer.cli import EXIT_USAGE, analyze
from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.report.wording import iso_instant


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
    result = CliRunner().invoke(analyze, ["traces", *given])

    assert result.exit_code == EXIT_USAGE
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
