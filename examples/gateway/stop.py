"""Stop: asks a turn to end and says what came of it, in one of five words."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import turnscope

if TYPE_CHECKING:
    from examples.gateway.runs import Run
    from turnscope.phases import CancelResult


async def stop_turn(turn_id: str, run: Run | None, *, grace_s: float) -> CancelResult:
    """Stop *run*.

    Returns:
        ``unknown`` when this gateway has no such turn: it may run in another one.

    Raises:
        OSError: A tool's process could not be told; the turn goes on.
    """
    with turnscope.cancel(turn_id) as cancel:
        if run is None:
            return "unknown"
        result = await _stop(run, grace_s)
        cancel.result(result)
        return result


async def _stop(run: Run, grace_s: float) -> CancelResult:
    if run.outcome is not None:
        return "already_completed"
    if run.task is None:
        run.end("stopped")
        run.turn.cancelled()
        return "cancelled"
    for pid in run.tool_pids:
        os.kill(pid, signal.SIGTERM)
    run.task.cancel()
    await asyncio.wait({run.task}, timeout=grace_s)
    if not run.task.done():
        return "still_running"
    return "cancelled" if run.task.cancelled() else "already_completed"
