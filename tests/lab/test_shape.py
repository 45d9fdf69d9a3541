"""A release that changes its files fails here, with the names that are new and what to do about them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.binary import PINNED, VERSIONS, known_as
from lab.scenarios import CASES
from lab.shape import KINDS, SHAPES, keep, known_shape, shape_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab.shape import Shape
    from lab.stage import Stage

ALWAYS = ("records", "tables")
"""What one run of all scenarios always shows; the rest depends on how far a process came."""

ADVICE = """
Codex {version} differs from what is kept for {known}:
{differences}
Find out what each name means for analyzer/turnscope_analyzer/sources: a new record may be a phase, a lost one may have
been one. Teach the source and its tests, pin {version} in tests/lab/codex-versions.txt, and have its list kept:
    make lab LAB_KEEP=1 ARGS="-k shape"
"""


@pytest.mark.lab
@pytest.mark.parametrize("version", VERSIONS)
def test_the_shape_of_what_codex_writes_is_known(stage: Stage, version: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if case.version == version]
    stage.announce(cases)

    seen = shape_of([stage.run(case).home for case in cases], tmp_path)

    if os.environ.get("TURNSCOPE_LAB_KEEP"):
        keep(version, seen)
    differences = list(differing(seen, known_shape(version)))
    assert not differences, ADVICE.format(
        version=version, known=known_as(version), differences="\n".join(f"    {line}" for line in differences)
    )


def test_every_pinned_version_has_its_list() -> None:
    assert {path.stem for path in SHAPES.glob("*.json")} == set(PINNED)
    assert [set(known_shape(version)) == set(KINDS) for version in PINNED] == [True] * len(PINNED)


def test_a_new_and_a_lost_name_are_told() -> None:
    known = {kind: {"one", "two"} for kind in KINDS}
    seen = {**known, "records": {"one", "three"}, "events": {"one"}}

    assert list(differing(seen, known)) == ["new in records: three", "no more in records: two"]


def differing(seen: Shape, known: Shape) -> list[str]:
    """Return a line for each name that is new, or gone although one run always shows it."""
    lines = []
    for kind in KINDS:
        lines += [f"new in {kind}: {name}" for name in sorted(seen[kind] - known[kind])]
        if kind in ALWAYS:
            lines += [f"no more in {kind}: {name}" for name in sorted(known[kind] - seen[kind])]
    return lines
