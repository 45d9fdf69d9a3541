"""Reads the project's pages, runs their examples, and lays out the tables that come from the vocabulary."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import contextvars
import inspect
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import turnscope
from helpers import run_python
from turnscope.attributes import ATTRIBUTES, ERROR_KINDS
from turnscope.metrics.names import LABELS, METRICS
from turnscope.phases import CANCEL_RESULTS, LANES, PHASES
from turnscope.reading import RawMark, read_segment
from turnscope_analyzer.doctor.codes import CODES
from turnscope_analyzer.rules import RULES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from turnscope.metrics.names import Label

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKS = re.compile(r"\s*Marks: ((?:`\w+`,?\s)+)")


class Example(NamedTuple):
    """A block of Python on a page, and the phases that the page says it marks."""

    line: int
    program: str
    marks: list[str]


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of *language* on *page*."""
    return [body for kind, body in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def examples(page: Path) -> Iterator[Example]:
    """Yield the blocks of Python on *page*."""
    text = page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        if block[1] == "python":
            said = MARKS.match(text, block.end())
            yield Example(text.count("\n", 0, block.start()), block[2], re.findall(r"\w+", said[1]) if said else [])


def run(page: Path, example: Example, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
    """Run *example* with *names*, which what it defines is added to; it may await."""
    # As many line feeds in front as stand there on the page, so that an error names its line.
    source = "\n" * (example.line + 1) + example.program
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(code, names)  # noqa: S307, RUF100 - the page's own example
    if inspect.iscoroutine(waiting):
        loop.run_until_complete(waiting)


def phases_after(journal: Path, seen: set[tuple[str, int]]) -> list[str]:
    """Return the phases in *journal* that are not among the *seen* marks, by time, and add them to those."""
    entries = [entry for path in sorted(journal.glob("*.jsonl")) for entry in read_segment(path)]
    marks: list[dict[str, Any]] = [entry.fields() for entry in entries if isinstance(entry, RawMark)]
    new = [mark for mark in marks if (mark["proc"], mark["seq"]) not in seen]
    seen.update((mark["proc"], mark["seq"]) for mark in new)
    return [mark["phase"] for mark in sorted(new, key=lambda mark: (mark["t"], mark["seq"]))]


class Response:
    """What a model answers, as an HTTP client of some kind hands it over."""

    status = 200

    async def __aiter__(self) -> AsyncIterator[str]:
        for event in ("hel", ": keepalive", "lo"):
            yield event


def leave_an_orphan(folder: Path) -> None:
    """Let a process accept a turn into the journal ``traces`` in *folder*, and be killed."""
    program = """
import os, signal, turnscope
turnscope.configure("traces", inbox=True)
turnscope.turn("chat-17", prompt="hello").__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_python(program, folder).returncode == -signal.SIGKILL


def gateway(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """Return the names that the examples take from the gateway around them."""

    @contextlib.asynccontextmanager
    async def ask_model(*_: object) -> AsyncIterator[Response]:
        yield Response()

    async def run_tool(name: str) -> str:
        await asyncio.sleep(0)
        return name

    async def semaphore() -> asyncio.Semaphore:
        return asyncio.Semaphore()

    names: dict[str, Any] = {"asyncio": asyncio, "contextvars": contextvars, "threading": threading}
    names |= {"ask_model": ask_model, "run_tool": run_tool, "approved": bool, "load": list, "queue": []}
    return names | {"turnscope": turnscope, "place": loop.run_until_complete(semaphore())}


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Lay out a table in Markdown; None is a dash."""
    lines = [list(heads), *([_cell(value) for value in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return "none" if value is None else str(value)


def vocabulary_tables() -> dict[str, str]:
    """Return the tables of docs/phases.md by their heading."""
    return {
        "Lanes": table(
            ("lane", "opens with", "ends with", "or, failed, with", "what it is"),
            ((f"`{lane.kind}{':…' * lane.many}`", lane.opens, lane.succeeds, lane.fails, lane.about) for lane in LANES),
        ),
        "Phases": table(
            (
                "phase",
                "lane",
                "ends its lane",
                "an open one waits for",
                "slow after s",
                "stuck after s",
                "cause",
                "OpenTelemetry",
            ),
            (
                (
                    f"`{p.name}`",
                    p.lane,
                    "yes" * p.terminal,
                    p.waits_on,
                    p.slow_after_s,
                    p.stuck_after_s,
                    p.cause,
                    f"`{p.otel_name}`",
                )
                for p in PHASES
            ),
        ),
        "Attributes": table(
            ("attribute", "type", "meaning", "OpenTelemetry"),
            ((f"`{a.name}`", a.sql_type, a.about, f"`{a.otel_name}`") for a in ATTRIBUTES),
        ),
        "Kinds of errors": table(
            ("error_type", "cause", "meaning"), ((f"`{kind.name}`", kind.cause, kind.about) for kind in ERROR_KINDS)
        ),
        "Results of a stop": "".join(f"- `{result}`\n" for result in CANCEL_RESULTS),
    }


def metrics_tables() -> dict[str, str]:
    """Return the tables of docs/metrics.md by their heading."""
    return {
        "Metrics": table(
            ("metric", "instrument", "labels", "Prometheus", "what it is"),
            (
                (
                    f"`{metric.name}`",
                    f"{metric.instrument}, {metric.unit}",
                    ", ".join(metric.labels),
                    f"`{metric.prometheus}`",
                    metric.about,
                )
                for metric in METRICS
            ),
        ),
        "Labels": table(
            ("label", "what it says", "its values"),
            ((label.name, label.about, _shown(label)) for label in LABELS),
        ),
    }


def _shown(label: Label) -> str:
    """Return the values of a label; those that another page lists are not repeated."""
    elsewhere = {"phase": "the phases of [phases.md](phases.md)", "cause": "its causes, and `none`"}
    listed = ", ".join(f"`{value}`" for value in label.values)
    return elsewhere.get(label.name, listed or "the gateway's own")


def rules_table() -> str:
    """Return the table of docs/analyze.md: every rule, the one that wins first."""
    ordered = sorted(RULES, key=lambda rule: rule.rank)
    said = ((rule, re.sub(r"{\w+}", "…", rule.sentence.replace("{detail}", ""))) for rule in ordered)
    return table(("rule", "it says", "next step"), ((f"`{rule.name}`", text, rule.next_step) for rule, text in said))


def doctor_sections() -> str:
    """Return the part of docs/doctor.md that is about each code: an overview, then a section a code."""
    overview = table(
        ("code", "severity", "what", "`--fix`"),
        ((f"[{code.name}](#{code.name.lower()})", code.severity, code.title, "yes" * code.fixable) for code in CODES),
    )
    sections = (
        f"## {code.name}\n\n{code.title} Severity: {code.severity}.\n\n"
        f"- **Told by**: {code.told_by}\n"
        f"- **What it does**: {code.harm}\n"
        f"- **Restart now?** {code.restart.capitalize()}. {code.why}\n"
        f"- **Repair**: {code.repair}\n"
        for code in CODES
    )
    return "\n".join((overview, *sections))
