"""Answer the ``analyze`` command: judge what was asked for and render it in the form that was asked for."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import click

from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.arguments import Ago
from turnscope_analyzer.errors import AnalyzeError
from turnscope_analyzer.progress import Progress
from turnscope_analyzer.report.contract import render_json
from turnscope_analyzer.report.layout import terminal_style
from turnscope_analyzer.report.markdown import render_markdown
from turnscope_analyzer.report.terminal import MAX_FULL, render_terminal, render_turn
from turnscope_analyzer.report.wording import count_states, counted, escaped, urgency
from turnscope_analyzer.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from turnscope_analyzer.model import Report, Verdict

Form = Literal["terminal", "json", "markdown"]

_WILL_NOT_END: Final = frozenset({"stuck", "orphaned"})
_MAX_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    paths: Sequence[Path]
    turn: str | None
    session: str | None
    since: int | Ago | None
    cause: str | None
    budgets: Mapping[str, float]
    now_ns: int | None
    everything: bool
    form: Form
    colour: bool


class Answer(NamedTuple):
    """What to print, and whether a turn in it will not end by itself."""

    text: str
    stuck: bool


def answer(request: Request) -> Answer:
    """Judge the turns of *request* and render them.

    Raises:
        click.ClickException: Nothing can be read there, or no turn is meant; the message says what to do.
    """
    report = _judged(request)
    if request.turn is not None:
        report = replace(report, turns=(_meant(report, request.turn),))
    stuck = not _WILL_NOT_END.isdisjoint(count_states(report))
    return Answer(_rendered(report, request), stuck)


def _judged(request: Request) -> Report:
    whole = request.everything or request.form == "json" or bool(request.turn or request.session)
    progress = Progress(sys.stderr)
    try:
        return analyze(
            request.paths,
            budgets=request.budgets,
            now_ns=request.now_ns,
            session=request.session,
            turn=request.turn,
            since_ns=_since_ns(request),
            cause=request.cause,
            everything=whole,
            detailed=None if whole else MAX_FULL,
            stretches=request.form != "json",
            progress=progress,
        )
    except AnalyzeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        progress.wipe()


def _since_ns(request: Request) -> int | None:
    if not isinstance(request.since, Ago):
        return request.since
    now_ns = time.time_ns() if request.now_ns is None else request.now_ns
    return now_ns - request.since.length_ns


def _meant(report: Report, prefix: str) -> Verdict:
    """Return the turn whose id is *prefix*, or else the only one whose id begins with it."""
    found = [verdict for verdict in report.turns if verdict.turn_id.startswith(prefix)]
    found = [verdict for verdict in found if verdict.turn_id == prefix] or found
    if not found:
        raise click.ClickException(f"no turn begins with '{escaped(prefix)}'. --all lists every turn.")
    ids = sorted({verdict.turn_id for verdict in found})
    if len(ids) > 1:
        named = ", ".join(map(escaped, ids[:_MAX_NAMED])) + (", …" if len(ids) > _MAX_NAMED else "")
        message = f"{counted(len(ids), 'turn')} begin with it: {named}. Give more of the id."
        raise click.BadParameter(message, param_hint="--turn")
    return min(found, key=urgency)


def _rendered(report: Report, request: Request) -> str:
    if request.form == "json":
        return render_json(report)
    if request.form == "markdown":
        return render_markdown(report, versions())
    style, base = terminal_style(colour=request.colour), str(Path.cwd())
    if request.turn is not None:
        return render_turn(report, report.turns[0], style, base=base)
    return render_terminal(report, style, base=base, everything=request.everything or request.session is not None)
