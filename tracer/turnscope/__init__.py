"""Flight recorder for agent turns: each phase is in a local journal the moment it is reached.

::

    import turnscope

    turnscope.configure("traces")

    with turnscope.turn("chat-17") as turn, turn.upstream(model="m") as upstream:
        for chunk in answer():
            upstream.progress(len(chunk))

``analyze traces/`` then says for each turn whether it is healthy, slow, waiting, failed or stuck, and on what.
"""

from turnscope.current import current_turn
from turnscope.errors import ConfigurationError, JournalError, JournalFormatError, TurnscopeError
from turnscope.handle import PhaseHandle
from turnscope.lanes import (
    Cancel,
    Compaction,
    Hydration,
    Queue,
    Quota,
    Renderer,
    ToolCall,
    cancel,
    compaction,
    continuation,
    hydration,
    mark,
    phase,
    progress,
    queue,
    quota,
    renderer,
    tool,
    upstream,
)
from turnscope.opening import accept, recover, resume, turn
from turnscope.recorder import Recorder, configure, shutdown
from turnscope.recover import Orphan
from turnscope.turn import Turn
from turnscope.upstream import Upstream
from turnscope.watch import StuckPhase

__all__ = [
    "Cancel",
    "Compaction",
    "ConfigurationError",
    "Hydration",
    "JournalError",
    "JournalFormatError",
    "Orphan",
    "PhaseHandle",
    "Queue",
    "Quota",
    "Recorder",
    "Renderer",
    "StuckPhase",
    "ToolCall",
    "Turn",
    "TurnscopeError",
    "Upstream",
    "accept",
    "cancel",
    "compaction",
    "configure",
    "continuation",
    "current_turn",
    "hydration",
    "mark",
    "phase",
    "progress",
    "queue",
    "quota",
    "recover",
    "renderer",
    "resume",
    "shutdown",
    "tool",
    "turn",
    "upstream",
]
