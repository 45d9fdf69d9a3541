from __future__ import annotations

import gzip
import os
import sys
from typing import TYPE_CHECKING

import pytest

from codex_kit import Rollout
from turnscope_analyzer.discover import discover
from turnscope_analyzer.errors import NothingFoundError, PathMissingError, UnreadableError
from turnscope_analyzer.repair.plan import BACKUPS
from turnscope_analyzer.sources.opened import head_of, open_plain
from turnscope_analyzer.sources.registry import SOURCES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def rollout(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "rollout-a.jsonl"
    path.parent.mkdir()
    Rollout(path).meta().started("t1").prompt().read()
    return path


@pytest.mark.parametrize("packed", [gzip.compress, zstd.compress])
def test_a_packed_file_is_told_by_what_it_holds(rollout: Path, packed: Callable[[bytes], bytes]) -> None:
    text = rollout.read_bytes()
    other = rollout.with_suffix(".jsonl.zst")
    other.write_bytes(packed(text))

    assert discover([rollout.parent]).of("codex") == [rollout, other]
    with open_plain(other) as file:
        assert file.read() == text


def test_the_head_of_a_damaged_archive_is_what_can_be_read(rollout: Path) -> None:
    text = os.urandom(40_000)
    rollout.write_bytes(gzip.compress(text)[:-9_000])

    head = head_of(rollout)

    assert 10_000 < len(head) < len(text)
    assert text.startswith(head)


def test_keys_and_tokens_are_not_even_opened(rollout: Path) -> None:
    secret = rollout.parent / "credentials" / "rollout-b.jsonl"
    secret.parent.mkdir()
    for path in (secret, rollout.parent / "auth.json"):
        path.write_bytes(rollout.read_bytes())

    assert discover([rollout.parent]).of("codex") == [rollout]


def test_a_file_with_a_strange_name_is_opened_only_if_it_was_named(rollout: Path) -> None:
    strange = rollout.rename(rollout.with_suffix(".backup"))

    with pytest.raises(NothingFoundError, match="none of the 1 files"):
        discover([strange.parent])
    assert discover([strange]).of("codex") == [strange]


def test_what_was_looked_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingFoundError) as caught:
        discover([tmp_path])

    assert all(source.what in str(caught.value) for source in SOURCES)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="nowhere"):
        discover([tmp_path / "nowhere"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_put_aside_in_a_folder_and_an_error_alone(rollout: Path) -> None:
    locked = rollout.with_name("rollout-b.jsonl")
    locked.write_bytes(rollout.read_bytes())
    locked.chmod(0)

    assert [reject.file for reject in discover([rollout.parent]).rejects] == [str(locked)]
    with pytest.raises(UnreadableError, match="Check its owner"):
        discover([locked])


def test_backups_of_repairs_are_no_captures_unless_they_are_asked_for(rollout: Path) -> None:
    backups = rollout.parent / BACKUPS
    backup = backups / "20261121T051207Z-rescue-a1b2c3" / rollout.name
    backup.parent.mkdir(parents=True)
    backup.write_bytes(rollout.read_bytes())

    assert discover([rollout.parent]).of("codex") == [rollout]
    assert discover([backups]).of("codex") == [backup]
