"""The tools that the model may use. Each takes its input as text and returns text."""

from __future__ import annotations

import asyncio
import shlex
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import TYPE_CHECKING, Final

import turnscope
from examples.gateway.messages import Bug

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from examples.gateway.model import ToolCall
    from examples.gateway.runs import Run

WORKSPACE: Final = Path(__file__).parent
"""The only folder that tools can read."""

_PROGRAMS: Final = {"cat", "date", "echo", "sleep"}
_NEEDS_APPROVAL: Final = {"deploy"}
_NO_PROCESS: Final = 2**22 + 1
"""A pid that no Linux process can have."""


async def use_tool(run: Run, call: ToolCall) -> str:
    """Return what the tool says; an error of the tool is an answer, too."""
    with turnscope.tool(call.name, call_id=call.call_id) as tool:
        run.emit("tool", name=call.name, call_id=call.call_id)
        if call.name in _NEEDS_APPROVAL:
            tool.awaiting_approval()
            if not await run.decision(call.call_id):
                tool.denied()
                return "denied by the user"
            tool.approved()
        try:
            output = await TOOLS[call.name](run, call.arguments["input"])
        except (KeyError, OSError, ValueError) as error:
            tool.result(ok=False)
            return f"error: {error}"
        tool.result(bytes=len(output))
        return output


async def _read_file(_run: Run, name: str) -> str:
    path = (WORKSPACE / name).resolve()
    if not path.is_relative_to(WORKSPACE):
        raise ValueError(f"{name} is outside of the workspace")
    return path.read_text(encoding="utf-8")


async def _run_program(run: Run, command: str) -> str:
    program, *arguments = shlex.split(command)
    if program not in _PROGRAMS:
        raise ValueError(f"{program} is not one of {', '.join(sorted(_PROGRAMS))}")
    stdin = PIPE if run.has(Bug.OPEN_STDIN) else DEVNULL
    process = await asyncio.create_subprocess_exec(program, *arguments, stdin=stdin, stdout=PIPE, stderr=STDOUT)
    pid = _NO_PROCESS if run.has(Bug.STALE_PID) else process.pid
    run.tool_pids.add(pid)
    try:
        if process.stdout is None:
            raise ValueError(f"{program} has no output")
        output = await process.stdout.read()
        await process.wait()
    finally:
        run.tool_pids.discard(pid)
        if process.returncode is None:
            process.kill()
    return output.decode(errors="replace")


async def _deploy(_run: Run, target: str) -> str:
    return f"nothing was deployed to {target}: this is an example"


TOOLS: Final[dict[str, Callable[[Run, str], Awaitable[str]]]] = {
    "read_file": _read_file,
    "run": _run_program,
    "deploy": _deploy,
}
