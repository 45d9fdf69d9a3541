"""The files: when one ends and the next begins, which go, and what a full disk leaves."""

from __future__ import annotations

import logging
import os
import resource
import time
from typing import TYPE_CHECKING

import pytest

from collect_kit import slimmed, span, traces
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.collect.refusal import RefusedError
from turnscope_analyzer.collect.store import FolderInUseError, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_NS = 86_400_000_000_000


class Clock:
    """Epoch ns that are set; files get them as the time of their last write."""

    def __init__(self) -> None:
        # Not long ago: what the kernel stamps itself must not look old.
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "kept", file_bytes=1000, cap_bytes=5000, keep_ns=3 * DAY_NS, clock=clock)
    made.open()
    yield made
    made.close()


def files(store: Store) -> list[Path]:
    return sorted(store.folder.glob("*.jsonl"))


def append(store: Store, clock: Clock, text: bytes, signal: str = "traces") -> None:
    """Append *text*, and have its file look as old as the clock says."""
    store.append(signal, text)  # type: ignore[arg-type]
    for path in files(store):
        if path.read_bytes().endswith(text):
            os.utime(path, ns=(clock.now_ns, clock.now_ns))
    clock.now_ns += 1_000_000_000


def test_a_file_ends_at_its_size_and_no_line_is_torn(store: Store, clock: Clock) -> None:
    lines = [bytes([65 + number]) * 299 + b"\n" for number in range(8)]
    for line in lines:
        append(store, clock, line)

    found = files(store)
    assert [path.stat().st_size for path in found] == [900, 900, 600]
    assert b"".join(path.read_bytes() for path in found) == b"".join(lines)


def test_what_is_longer_than_a_file_has_one_of_its_own(store: Store, clock: Clock) -> None:
    for length in (10, 3000, 10):
        append(store, clock, b"x" * length + b"\n")

    assert [path.stat().st_size for path in files(store)] == [11, 3001, 11]


def test_a_file_ends_after_a_day(store: Store, clock: Clock) -> None:
    append(store, clock, b"1\n")
    clock.now_ns += DAY_NS
    append(store, clock, b"2\n")

    assert [path.read_bytes() for path in files(store)] == [b"1\n", b"2\n"]


def test_old_files_go_and_that_is_no_loss(store: Store, clock: Clock) -> None:
    append(store, clock, b"old\n")
    clock.now_ns += 4 * DAY_NS
    append(store, clock, b"new\n")

    assert [path.read_bytes() for path in files(store)] == [b"new\n"]
    assert store.lost.files == 0


def test_the_oldest_files_go_for_the_cap_and_that_is_counted_and_told(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = store.folder / "rollout.jsonl"
    foreign.write_bytes(b"z" * 50_000)
    with caplog.at_level(logging.WARNING, "turnscope.collect"):
        for number in range(8):
            append(store, clock, bytes([65 + number]) * 999 + b"\n")
            assert sum(path.stat().st_size for path in store.folder.glob("otlp-*")) <= 5000

    left = [path for path in files(store) if "traces" in path.name]
    assert foreign.exists()
    assert b"".join(path.read_bytes()[:1] for path in left) == b"ABCDEFGH"[-len(left) :]
    assert len(left) >= 2
    assert store.lost.files >= 8 - len(left)
    assert "the 1 oldest files went, 1000 bytes" in caplog.text


def test_analyze_says_that_files_went(store: Store, clock: Clock) -> None:
    [line] = slimmed("traces", traces(span())).values()
    while not store.lost.files:
        append(store, clock, line)

    report = analyze([store.folder], everything=True)

    assert report.drops == {"retention": store.lost.files}
    assert report.rejects == ()


def test_a_file_that_somebody_removed_is_not_written_on(store: Store, clock: Clock) -> None:
    append(store, clock, b"1\n")
    files(store)[0].unlink()
    append(store, clock, b"2\n")

    assert [path.read_bytes() for path in files(store)] == [b"2\n"]


def test_what_does_not_fit_leaves_nothing_and_the_next_one_is_whole(store: Store, clock: Clock) -> None:
    append(store, clock, b"1\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(RefusedError, match="cannot be kept now: File too large") as refused:
            store.append("traces", b"x" * 300 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    append(store, clock, b"2\n")

    assert refused.value.why == "no_room"
    assert [path.read_bytes() for path in files(store)] == [b"1\n", b"2\n"]


def test_one_folder_has_one_collector(store: Store, clock: Clock) -> None:
    other = Store(store.folder, file_bytes=1000, cap_bytes=5000, keep_ns=DAY_NS, clock=clock)

    with pytest.raises(FolderInUseError, match=str(os.getpid())):
        other.open()
    store.close()
    other.open()
    other.close()


def test_an_earlier_collectors_files_are_kept_and_not_written_on(store: Store, clock: Clock) -> None:
    append(store, clock, b"1\n")
    store.close()
    store.open()
    append(store, clock, b"2\n")

    assert [path.read_bytes() for path in files(store)] == [b"1\n", b"2\n"]
