"""What makes a thread large, how its context grows, and what the doctor makes of it."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.threads import large_thread
from doctor_kit import checked, found, the
from turnscope_analyzer.context.growth import Forecast, Growth
from turnscope_analyzer.context.images import images_in
from turnscope_analyzer.context.measure import ThreadSize, measure
from turnscope_analyzer.doctor import threads
from turnscope_analyzer.sources.codex.tokens import LIMIT_PER_MILLE

if TYPE_CHECKING:
    from collections.abc import Iterable

THREAD = "01a1fba3-8044-7381-b581-b20b3f54ce8a"
WINDOW = 100_000
LIMIT = WINDOW * LIMIT_PER_MILLE // 1_000
IMAGE = "data:image/png;base64," + "A" * 1_000


def write(path: Path, records: Iterable[tuple[str, dict[str, Any]]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = ("session_meta", {"id": THREAD})
    lines = (
        json.dumps({"timestamp": f"2026-11-21T01:{n // 60 % 60:02}:{n % 60:02}.000Z", "type": kind, "payload": body})
        for n, (kind, body) in enumerate((head, *records))
    )
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def counted(total: int, last: int) -> tuple[str, dict[str, Any]]:
    usage = {"total_token_usage": {"total_tokens": total, "input_tokens": total}}
    info = {**usage, "last_token_usage": {"total_tokens": last}, "model_context_window": WINDOW}
    return ("event_msg", {"type": "token_count", "info": info})


def turn(number: int, *inner: tuple[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    turn_id = f"turn-{number}"
    start = ("event_msg", {"type": "task_started", "turn_id": turn_id, "trace_id": "0" * 32})
    prompt = ("event_msg", {"type": "user_message", "message": "Please."})
    end = ("event_msg", {"type": "task_complete", "turn_id": turn_id, "last_agent_message": "Done."})
    return [start, prompt, *inner, end]


def thread_of(tmp_path: Path, tokens: Iterable[int]) -> Path:
    """Write a thread whose turns end with so many tokens in their context."""
    total = 0
    records = []
    for number, last in enumerate(tokens):
        total += last
        records += turn(number, counted(total, last))
    return write(tmp_path / "sessions" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl", records)


# -- images -------------------------------------------------------------------------------------------------


def test_images_are_found_across_blocks_and_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    other = IMAGE.replace("A" * 10, "B" * 10, 1)
    path.write_text(json.dumps([IMAGE, "no image", other, IMAGE]))

    whole = list(images_in(path))
    monkeypatch.setattr("turnscope_analyzer.context.images._BLOCK_BYTES", 7)

    assert list(images_in(path)) == whole
    assert [path.read_bytes()[one.offset : one.offset + one.length].decode() for one in whole] == [IMAGE, other, IMAGE]
    assert whole[0].print == whole[2].print != whole[1].print


@given(st.lists(st.text(alphabet='data:image/",x', max_size=40), max_size=6), st.integers(1, 30))
def test_any_text_gives_the_same_images_whatever_the_block(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], block_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("images") / "a"
    path.write_text("\n".join(texts))
    whole = [(one.offset, one.length) for one in images_in(path)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("turnscope_analyzer.context.images._BLOCK_BYTES", block_bytes)
        assert [(one.offset, one.length) for one in images_in(path)] == whole
    assert all(before[0] + before[1] <= after[0] for before, after in pairwise(whole))


def test_packed_data_that_is_damaged_ends_the_images(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps([IMAGE] * 3).encode())[:-20])

    assert len(list(images_in(path))) <= 3


# -- sizes --------------------------------------------------------------------------------------------------


def test_a_thread_is_measured_by_kind_with_its_images(tmp_path: Path) -> None:
    large_thread(tmp_path, turns=8, image_bytes=40_000)
    [path] = tmp_path.rglob("*.jsonl")

    size = measure(path)

    lines = path.read_bytes().splitlines()
    assert size.records == len(lines)
    assert sum(share.bytes for share in size.kinds.values()) == sum(map(len, lines))
    assert size.longest is not None
    assert size.longest.length == max(map(len, lines))
    assert lines.index(max(lines, key=len)) == path.read_bytes()[: size.longest.offset].count(b"\n")
    assert size.images.count == path.read_bytes().count(b"data:image/")
    assert size.images.bytes == sum(share.image_bytes for share in size.kinds.values())
    assert 0 < size.images.live < size.images.count
    assert size.images.different < size.images.count
    assert size.growth.compactions == 1


def test_the_memory_does_not_depend_on_the_length_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    write(path, turn(0, ("response_item", {"type": "function_call_output", "output": IMAGE + "A" * 30_000_000})))

    tracemalloc.start()
    size = measure(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size.images.bytes > 30_000_000
    assert peak_bytes < 8_000_000


def test_a_transcript_of_another_kind_is_measured_by_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"type": "session"}}\n{{"image": "{IMAGE}"}}\n')

    size = measure(path)

    assert (size.records, size.images.count, size.growth.tokens) == (2, 1, None)
    assert threads.figures(size)["fails_in_turns"] is None


# -- growth -------------------------------------------------------------------------------------------------


def grown(*tokens: int, step: int = 0) -> Growth:
    growth = Growth()
    for last in tokens:
        growth.turn()
        growth.response(last, WINDOW)
    growth.turn()
    growth.largest_step = max(growth.largest_step, step)
    return growth


def test_the_present_growth_tells_when_the_context_is_compacted() -> None:
    assert grown(10_000, 20_000, 30_000).forecast(LIMIT_PER_MILLE) == Forecast(10_000, 7, 6)
    assert grown(10_000, 11_000, 12_000).forecast(LIMIT_PER_MILLE) == Forecast(1_000, 83, None)


def test_the_growth_of_one_turn_that_stands_out_does_not_count() -> None:
    assert grown(10_000, 11_000, 51_000, 52_000, 53_000, 54_000).forecast(LIMIT_PER_MILLE).growth_tokens == 1_000


def test_nothing_is_forecast_where_nothing_grows_or_too_little_is_known() -> None:
    assert grown(10_000, 10_000, 10_000).forecast(LIMIT_PER_MILLE) == Forecast(0, None, None)
    assert grown(10_000).forecast(LIMIT_PER_MILLE) == Forecast(None, None, None)
    assert Growth().forecast(LIMIT_PER_MILLE) == Forecast(None, None, None)


def test_a_compaction_fails_once_a_step_can_pass_the_limit_and_the_window_at_once() -> None:
    headroom = WINDOW - LIMIT

    assert grown(10_000, 11_000, 12_000, step=headroom).forecast(LIMIT_PER_MILLE).fails_in is None
    # At 60,000 tokens a step of 40,000 fills the window.
    assert grown(10_000, 11_000, 12_000, step=40_000).forecast(LIMIT_PER_MILLE).fails_in == 48


def test_compactions_that_leave_more_each_time_end_at_the_limit() -> None:
    growth = Growth()
    for left in (20_000, 30_000, 40_000):
        for number in range(4):
            growth.turn()
            growth.response(left - 10_000 + 4_000 * number, WINDOW)
        growth.compacted(0)
        growth.left(left, WINDOW)
    # 10,000 more every four turns: 54,700 are reached in 21.9.
    assert growth.forecast(LIMIT_PER_MILLE).fails_in == 22


def test_compactions_in_a_row_are_counted_from_the_second_on() -> None:
    growth = Growth()
    for responses in (9, 2, 1, 0):
        for _ in range(responses):
            growth.response(90_000, WINDOW)
        growth.compacted(0)
    assert growth.in_a_row == 3

    for _ in range(3):
        growth.response(90_000, WINDOW)
    growth.compacted(0)
    assert growth.in_a_row == 0


# -- what it means ------------------------------------------------------------------------------------------


def size_of(**given: Any) -> ThreadSize:
    return ThreadSize(Path("rollout.jsonl"), THREAD, **given)


@pytest.mark.parametrize(
    ("n_bytes", "severity"),
    [(49_999_999, None), (50_000_000, "warning"), (299_999_999, "warning"), (300_000_000, "error")],
)
def test_a_file_is_too_large_from_fifty_megabytes_on(n_bytes: int, severity: str | None) -> None:
    assert [one.severity for one in threads.examine([size_of(bytes=n_bytes)], ())] == ([severity] if severity else [])


def test_a_thread_that_will_not_fit_soon_is_at_risk(tmp_path: Path) -> None:
    thread_of(tmp_path, range(10_000, 80_000, 10_000))

    one = the(checked(tmp_path), "COMPACTION_RISK")

    assert one.severity == "warning"
    assert "70,000 of 100,000 tokens (70 %), 10,000 more each turn" in one.what
    assert "at the present growth compaction fails in about 2 turns (it is compacted in about 3 turns)" in one.what
    assert (one.figures["compacts_in_turns"], one.figures["fails_in_turns"]) == (3, 2)


def test_a_thread_that_grows_slowly_is_at_no_risk(tmp_path: Path) -> None:
    thread_of(tmp_path, range(10_000, 17_000, 1_000))

    assert found(checked(tmp_path)) == []


def test_three_compactions_in_a_row_are_a_loop(tmp_path: Path) -> None:
    def compaction(number: int) -> list[tuple[str, dict[str, Any]]]:
        return [counted(90_000 * (number + 1), 90_000), ("compacted", {"message": "", "replacement_history": []})]

    def write_turn(count: int) -> Path:
        inner = [record for number in range(count) for record in compaction(number)]
        return write(tmp_path / "sessions" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl", turn(0, *inner))

    write_turn(3)
    assert "error COMPACTION_LOOP" not in found(checked(tmp_path))

    path = write_turn(4)
    one = the(checked(tmp_path), "COMPACTION_LOOP")
    assert all(path.read_bytes()[record.offset or 0 :].startswith(b'{"timestamp"') for record in one.records)


def test_images_that_compactions_have_copied_are_named(tmp_path: Path) -> None:
    image = "data:image/png;base64," + "A" * 500_000
    kept = ("compacted", {"message": "", "replacement_history": [{"type": "message", "content": image}]})
    path = tmp_path / "sessions" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    write(path, [*turn(0, kept, counted(9, 9)), *turn(1, kept, counted(18, 9), kept, counted(27, 9))])

    one = the(checked(tmp_path), "INLINE_IMAGES")
    assert (one.figures["images"], one.figures["different_images"]) == (3, 1)

    write(path, turn(0, ("response_item", {"type": "message", "role": "user", "content": image})))
    assert found(checked(tmp_path)) == []
