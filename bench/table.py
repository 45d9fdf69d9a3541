"""What the bench shows and keeps: rows with their targets, as a table for people and as JSON for later."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PACKAGES = ("duckdb", "orjson", "opentelemetry-sdk", "logfire", "eliot", "click")
"""Whose versions a result names."""


class Target(NamedTuple):
    """The most that a row's figure, or its ratio to the control, may be."""

    on: Literal["figure", "ratio"]
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one suite. ``ratio`` is to the control that ``against`` names; the control has ratio 1.

    ``beside`` holds further figures of the same measurement, in the same unit unless their names say another.
    """

    what: str
    figure: float
    unit: str
    ratio: float | None = None
    against: str = ""
    target: Target | None = None
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        measured = self.figure if self.target.on == "figure" else self.ratio
        return measured is not None and measured <= self.target.most

    def cells(self) -> tuple[str, ...]:
        """Return the row as it is printed."""
        measured = f"{short(self.figure)} {self.unit}"
        times = "" if self.ratio is None else f"{short(self.ratio)} x {self.against}".rstrip()
        judged = {True: "met", False: "MISSED", None: ""}[self.met]
        beside = ", ".join(f"{name} {short(figure)}" for name, figure in self.beside.items())
        return (self.what, measured, times, self._target_text(), judged, beside)

    def _target_text(self) -> str:
        if self.target is None:
            return ""
        return f"<= {self.target.most:g} {'x' if self.target.on == 'ratio' else self.unit}"

    def as_json(self) -> dict[str, object]:
        """Return the row as a result file keeps it."""
        target = None if self.target is None else {"on": self.target.on, "most": self.target.most}
        return {
            "what": self.what,
            "figure": rounded(self.figure),
            "unit": self.unit,
            "ratio": None if self.ratio is None else rounded(self.ratio),
            "against": self.against,
            "target": target,
            "met": self.met,
            "beside": {name: rounded(figure) for name, figure in self.beside.items()},
        }


def rounded(number: float) -> float:
    """Return *number* with four significant digits: more would only say how busy the machine was."""
    return float(f"{number:.4g}")


def short(number: float) -> str:
    """Return *number* with three significant digits and no exponent."""
    if number >= 100:
        return f"{number:,.0f}".replace(",", " ")
    return f"{float(f'{number:.3g}'):g}"


def draw(rows: Sequence[tuple[str, Row]]) -> str:
    """Return the one table: suite, what, figure, ratio, target, whether it is met, further figures."""
    head = ("suite", "what", "figure", "ratio", "target", "", "beside")
    lines = [head, *((suite, *row.cells()) for suite, row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])


def keep(folder: Path, suite: str, rows: Iterable[Row], *, quick: bool, others_share: float, load: float) -> None:
    """Write the rows of one suite to ``<suite>.json``, with what is needed to judge them and no name of the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "suite": suite,
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "quick": quick,
        "machine": machine(),
        "load": rounded(load),
        "others_share": rounded(others_share),
        "versions": versions(),
        "rows": [row.as_json() for row in rows],
    }
    (folder / f"{suite}.json").write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")


def machine() -> dict[str, object]:
    """Return the class of this machine: processor, how many, memory, system. No name, no address."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "processors": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    installed = {found.name: found.version for found in importlib.metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}
