"""What the doctor says of real captures: every seed case is found, and healthy homes have no error."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import turnscope_analyzer.sources
from codex_home_kit import HOMES, recorded_home
from doctor_kit import checked, found, the
from openclaw_kit import SHARED, laid_out
from turnscope_analyzer.doctor.codes import CODE, CODES
from turnscope_analyzer.doctor.told import CODE_OF

SEEDS = {
    "2026.4.2/seed_zombie_row": ["error ZOMBIE_RUNNING"],
    "2026.4.2/combo_final": ["error ZOMBIE_RUNNING"] * 5,
    "2026.5.12/seed_shadow_store": ["error SPLIT_BRAIN"],
    "2026.5.22/seed_silent_drop": ["error SILENT_DROP", "warning OVERSIZED_THREAD"],
    "2026.5.22/compaction_silent_drop": ["error SILENT_DROP"] * 3 + ["error COMPACTION_RISK"],
    "2026.5.22/killed": ["warning SILENT_DROP"] * 4,
    "2026.9.6/combo_final": [],
    "2026.9.6/compaction_failed": ["error COMPACTION_RISK"] * 2,
    "2026.9.6/restarted": ["error ORPHAN_TURN"] * 3 + ["warning RECOVERY_PENDING"] * 3,
    "2026.9.6/seed_shadow_store": ["error ZOMBIE_RUNNING", "error SPLIT_BRAIN"],
    "2026.9.6/zombie_live_t0": ["error ZOMBIE_RUNNING", "error RECOVERY_PENDING"],
}


@pytest.mark.parametrize("case", SEEDS)
def test_every_seed_is_found(case: str, tmp_path: Path) -> None:
    assert found(checked(laid_out(case, tmp_path))) == SEEDS[case]


CODEX = {
    "0.142-compaction-rejected": ["error COMPACTION_RISK"],
    "0.142-cut-off": [],
    "0.169-compaction-hangs": ["warning ORPHAN_TURN"],
    "0.169-healthy": [],
    "0.169-interrupted": [],
    "0.169-killed-and-resumed": ["note ORPHAN_TURN"],
    "0.169-no-headers": ["warning ORPHAN_TURN"],
    "0.169-retried": [],
}


@pytest.mark.parametrize("name", CODEX)
def test_homes_of_codex_have_what_was_done_to_them_and_no_more(name: str, tmp_path: Path) -> None:
    told = found(checked(recorded_home(name, tmp_path)))

    # Indexes that were copied in mid-turn differ from the rollouts, and say so.
    assert [one for one in told if "TERMINAL" not in one and "INDEX" not in one] == CODEX[name]


def test_the_names_of_the_cases_are_those_of_the_captures() -> None:
    assert set(CODEX) <= {folder.name for folder in HOMES.iterdir()}


HEALTHY = ("healthy", "a_healthy*", "b_*tools*", "b_two_turns*", "b_image*", "c_compact_*")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared captures are not here")
@pytest.mark.parametrize("scenario", HEALTHY)
def test_healthy_homes_have_no_error_and_no_warning(scenario: str) -> None:
    homes = [
        *SHARED.glob(f"openclaw-lab/*/{scenario}/state"),
        *SHARED.glob(f"codex-lab/*/{scenario}/home"),
    ]

    assert homes
    assert {str(home): found(checked(home)) for home in homes} == {str(home): [] for home in homes}


def test_every_code_is_a_row_with_all_that_a_person_needs() -> None:
    assert len(CODE) == len(CODES)
    for code in CODES:
        assert code.name == code.name.upper()
        texts = (code.title, code.told_by, code.harm, code.why, code.repair)
        assert all(text.rstrip(")`").endswith(".") or text.endswith("`.") for text in texts), code.name


def test_every_finding_of_a_source_has_a_code() -> None:
    given = set()
    for path in Path(turnscope_analyzer.sources.__path__[0]).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("Finding", "_found"):
                given |= {word.value for word in call.args[:1] if isinstance(word, ast.Constant)}
    given |= {"archived_elsewhere", "missing_rollout"}  # named by a table

    assert given == set(CODE_OF)
    assert set(CODE_OF.values()) <= set(CODE)


def test_the_lost_messages_are_listed_by_time_and_run(tmp_path: Path) -> None:
    checkup = checked(laid_out("2026.5.22/compaction_silent_drop", tmp_path))

    lost = [message for one in checkup.diagnoses for message in one.lost]
    assert checkup.messages is not None
    assert (checkup.messages.accepted, checkup.messages.lost) == (12, len(lost)) == (12, 8)
    assert checkup.messages.started + checkup.messages.queued + checkup.messages.refused == 4
    assert all(message.at_ns > 0 and len(message.run_id) == 36 for message in lost)


def test_a_restart_that_would_run_a_turn_again_is_unsafe(tmp_path: Path) -> None:
    assert checked(laid_out("2026.9.6/zombie_live_t0", tmp_path)).restart.safety == "unsafe"
    assert checked(laid_out("2026.4.2/seed_zombie_row", tmp_path)).restart.safety == "safe"


def test_the_proof_of_a_split_brain_is_both_rows_and_the_live_store_is_named(tmp_path: Path) -> None:
    home = laid_out("2026.5.12/seed_shadow_store", tmp_path)
    state = home / "state"

    one = the(checked(home, in_use={str(state): {4711}}), "SPLIT_BRAIN")

    assert [record.values.get("status") for record in one.records] == [None, "running", None]
    assert f"live is {state}: in use by process 4711" in one.what
