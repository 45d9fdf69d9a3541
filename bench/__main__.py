"""`python -m bench [--quick] [--suite NAME]...`: run the suites, print one table, keep the results."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from bench.measure import DATA, LEFT_OUT, ROOT, Others
from bench.table import Row, draw, keep

SUITES = ("record", "progress", "kill", "ship", "startup", "analyze", "rollout", "rescue", "context", "outage")

BUSY_SHARE = 0.1
"""With more than this share of the machine in the hands of other programs, the tails are theirs."""


def arguments() -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Side by side with the peers, as ratios.")
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one; may be given again")
    parser.add_argument("--quick", action="store_true", help="few rounds, 1 M marks only; kept under bench/data")
    parser.add_argument("--results", type=Path, help="folder to keep the results in; bench/results by default")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    asked = arguments()
    results = asked.results or (DATA / "quick" if asked.quick else ROOT / "bench" / "results")
    table: list[tuple[str, Row]] = []
    for suite in asked.suite or SUITES:
        print(f"bench: {suite} ...", file=sys.stderr, flush=True)
        others = Others()
        rows: list[Row] = importlib.import_module(f"bench.{suite}").run(quick=asked.quick)
        share = others.share()
        keep(results, suite, rows, quick=asked.quick, others_share=share, load=os.getloadavg()[0])
        table += [(suite, row) for row in rows]
        if share > BUSY_SHARE:
            print(f"bench: {suite}: other programs had {share:.0%} of the processors", file=sys.stderr)
    print(draw(table))
    missed = sum(row.met is False for _, row in table)
    targets = sum(row.met is not None for _, row in table)
    print(f"\n{targets - missed} of {targets} targets met")
    if LEFT_OUT:
        sys.exit("\n".join(f"bench: left out: {reason}" for reason in LEFT_OUT))


if __name__ == "__main__":
    main()
