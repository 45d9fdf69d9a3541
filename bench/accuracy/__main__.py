"""`python -m bench.accuracy [--data FOLDER] [--write]`: grade the analyzer on labelled captures."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.accuracy.grade import grade
from bench.accuracy.labels import codex, openclaw
from bench.accuracy.page import Unlabelled, kept_of, page, wrong_ones
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = ROOT / "docs" / "accuracy.md"

WRONG: Final = 1
"""Exit code: something was said with confidence and is not so."""

NO_DATA: Final = 2
"""Exit code: there are no captures where they were looked for."""

_STEP: Final = 50
_PUBLIC: Final = ("codex-public",)
_END: Final = re.compile(rb'"type"\s*:\s*"(?:task_complete|turn_aborted)"')
_TURN: Final = re.compile(rb'"turn_id"\s*:\s*"([^"]+)"')


def main() -> int:
    """Grade what there is, print the page or write it; return the exit code."""
    asked = _arguments()
    data: Path = asked.data
    captures = list(itertools.chain(codex(data), openclaw(data)))
    if not captures:
        given = "Name their folder with --data or TURNSCOPE_LABDATA."
        print(f"accuracy: no labelled captures under {data}. {given}", file=sys.stderr)
        return NO_DATA
    results = []
    for number, labelled in enumerate(captures, 1):
        if number % _STEP == 0:
            print(f"accuracy: {number} of {len(captures)} ...", file=sys.stderr, flush=True)
        results.append((labelled, grade(labelled)))
    unlabelled = list(_unlabelled(data))
    text = page(results, unlabelled, kept_of(PAGE.read_text("utf-8")) if PAGE.exists() else "")
    if asked.write:
        PAGE.write_text(text, "utf-8")
        print(f"accuracy: wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
    else:
        print(text)
    wrong = wrong_ones(results, unlabelled)
    for name in wrong:
        print(f"accuracy: confident and wrong: {name}", file=sys.stderr)
    return WRONG if wrong else 0


def _arguments() -> argparse.Namespace:
    default = os.environ.get("TURNSCOPE_LABDATA") or ROOT.parent / "shared" / "data"
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description="How often a verdict is right.")
    parser.add_argument("--data", type=Path, default=Path(default), help="folder of the captures; TURNSCOPE_LABDATA")
    parser.add_argument("--write", action="store_true", help="write docs/accuracy.md instead of printing it")
    return parser.parse_args()


def _unlabelled(data: Path) -> Iterator[Unlabelled]:
    """Yield what is said of files without labels."""
    for name in _PUBLIC:
        files = [path for path in sorted((data / name).rglob("*.jsonl")) if path.is_file()]
        if not files:
            continue
        turns = analyze([data / name], everything=True).turns
        ended = set(itertools.chain.from_iterable(map(_ended_turns, files)))
        stuck = [verdict.turn_id for verdict in turns if verdict.state == "stuck" and verdict.turn_id in ended]
        words = Counter(f"{verdict.state} (`{verdict.rule}`)" for verdict in turns)
        yield Unlabelled(name, len(files), words, stuck)


def _ended_turns(path: Path) -> Iterator[str]:
    """Yield the turns whose end stands in a rollout, found by its text alone: not by the reader that is graded."""
    for line in path.read_bytes().splitlines():
        if _END.search(line) and (turn := _TURN.search(line)):
            yield turn[1].decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main())
