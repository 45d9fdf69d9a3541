"""The process in which one candidate is measured: `python -m bench.child SUITE CANDIDATE ARGUMENTS`.

The figures go to stdout as the last line, so that a peer that greets there does no harm.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.measure import Figures


def main(suite: str, candidate: str, arguments: str) -> None:
    """Run the candidate and print its figures as one line of JSON."""
    candidates: Mapping[str, Callable[..., Figures]] = importlib.import_module(f"bench.{suite}").CANDIDATES
    figures = candidates[candidate](**orjson.loads(arguments))
    print(orjson.dumps(figures).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
