"""Answer ``doctor --fix`` and ``doctor --undo``: say what would be changed, or change it and look again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from turnscope_analyzer.doctor.codes import CODES
from turnscope_analyzer.doctor.command import checked
from turnscope_analyzer.doctor.homes import isolated
from turnscope_analyzer.doctor.repairs import plans_of, why_in_use
from turnscope_analyzer.repair.errors import RepairError
from turnscope_analyzer.repair.making import apply, refusal
from turnscope_analyzer.repair.manifest import read_manifest
from turnscope_analyzer.repair.undoing import undo
from turnscope_analyzer.report.wording import counted, escaped
from turnscope_analyzer.sources.openclaw.places import root_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.doctor.repairs import Refused
    from turnscope_analyzer.repair.plan import Plan


class Fixed(NamedTuple):
    """What to print, and whether a finding of the code is left."""

    text: str
    left: bool


def fix(code: str, given: Sequence[Path], *, do: bool) -> Fixed:
    """Repair the findings of *code* in the homes *given*; without *do* only say what would be done.

    An error leaves everything as it was.

    Raises:
        click.ClickException: There is no such repair, the store is in use, or it cannot be written.
    """
    fixable = [known.name for known in CODES if known.fixable]
    if code not in fixable:
        raise click.BadParameter(
            f"{code!r} has no repair here. There is one for {', '.join(fixable)}; "
            "for the others the report names what to do.",
            param_hint="--fix",
        )
    if do and (warnings := list(isolated(os.environ))):
        raise click.ClickException(f"{warnings[0]} Nothing was changed.")
    checkups, warnings = checked(given)
    lines = [f"{store.kind}: {store.real}" for checkup in checkups for store in checkup.stores]
    lines += [f"! {warning}" for warning in warnings]
    try:
        plans, refused = plans_of(code, checkups)
        for plan in plans:
            lines += _carried_out(plan) if do else _told(plan)
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}. Nothing was changed.") from error
    except RepairError as error:
        raise click.ClickException(str(error)) from error
    lines += [_left(one) for one in refused]
    if not plans and not refused:
        lines.append(f"no {code} was found: nothing is to be repaired.")
    elif plans and not do:
        lines.append("Nothing was changed. --apply does it, with a backup.")
    left = bool(refused) if not do else _is_left(code, given)
    if do and plans and not left:
        lines.append(f"looked again: no {code} is left.")
    return Fixed("".join(f"{escaped(line)}\n" for line in lines), left)


def take_back(folder: Path) -> str:
    """Undo the repair that has *folder*, and return what was done.

    Raises:
        click.ClickException: It cannot be undone; the message says why.
    """
    try:
        files = [step.path for step in read_manifest(folder).steps]
        roots = {root for file in files if (root := root_of(Path(file))) is not None}
        done = undo(folder, busy=lambda: next(filter(None, map(why_in_use, roots)), ""))
    except RepairError as error:
        raise click.ClickException(str(error)) from error
    return "".join(f"{escaped(line)}\n" for line in done)


def _told(plan: Plan) -> list[str]:
    lines = [f"would change {step.path}: {step.says}" for step in plan.steps]
    if (why := refusal(plan)) is not None:
        lines.append(f"  it would be refused now: {why}")
    return lines


def _carried_out(plan: Plan) -> list[str]:
    folder = apply(plan)
    lines = [f"changed {step.path}: {step.says}" for step in plan.steps]
    return [*lines, f"backup of {counted(len(plan.steps), 'file')}: {folder}", f"to undo: doctor --undo {folder}"]


def _left(one: Refused) -> str:
    return f"not repaired: {one.diagnosis.code} of session {one.diagnosis.session_id}: {one.why}"


def _is_left(code: str, given: Sequence[Path]) -> bool:
    checkups, _ = checked(given)
    return any(one.code == code and one.severity != "note" for checkup in checkups for one in checkup.diagnoses)
