"""Writes the budgets of the phases as recorded series, so that alerts and dashboards hold ages against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from dashboards.generator.promql import BUDGET
from turnscope.phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER = """\
# Written by python -m dashboards.generator, from tracer/turnscope/phases.py.
# Seconds after which a wait in a phase is stuck. Where gateways have budgets of their own (configure(budgets=...)),
# change these to match.
"""


def budgets(stuck_after_s: Mapping[str, float] | None = None) -> str:
    """Return the rules that record a series for each phase with a budget.

    Args:
        stuck_after_s: Budgets that are not the defaults of the vocabulary, by phase.
    """
    default = {phase.name: phase.stuck_after_s for phase in PHASES if phase.stuck_after_s is not None}
    rules = [
        {"record": BUDGET, "expr": f"vector({limit_s:g})", "labels": {"phase": name}}
        for name, limit_s in (default | dict(stuck_after_s or {})).items()
    ]
    groups = {"groups": [{"name": "turnscope-budgets", "rules": rules}]}
    return _HEADER + yaml.safe_dump(groups, sort_keys=False, width=120)
