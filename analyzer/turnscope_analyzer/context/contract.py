"""Write where a thread's context comes from for a program, exactly as ``docs/context.md`` promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from turnscope_analyzer.context.parts import BYTES_A_TOKEN, tokens_of
from turnscope_analyzer.doctor.threads import figures
from turnscope_analyzer.report.contract import unicode_text
from turnscope_analyzer.report.wording import iso_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.context.breakdown import Amount, Breakdown, Copy, TurnShare
    from turnscope_analyzer.context.parts import Origin

SCHEMA: Final = 1
"""The version of the contract. A key may be added within a version; none goes and none changes its meaning."""


def render_json(broken: Breakdown) -> str:
    """Return one JSON object ended by a newline."""
    size, found = broken.size, broken.found
    live = broken.live
    content = {
        "schema": SCHEMA,
        "path": unicode_text(str(size.path)),
        "thread_id": unicode_text(size.thread_id) if size.thread_id else None,
        "estimate": {"bytes_a_token": BYTES_A_TOKEN, "tokens_an_image": tokens_of(0, 1)},
        "figures": figures(size),
        "origins": _amounts(broken.parts),
        "next_request": {"origins": _amounts(live), "tokens": sum(amount.tokens for amount in live.values())},
        "tools": {unicode_text(tool): _amount(amount) for tool, amount in sorted(broken.tools.items())},
        "turns": [_turn(turn) for turn in broken.turns],
        "copies": [_copy(copy) for copy in broken.copies],
        "reclaimable": {
            "bytes": found.stamp.size_bytes - found.size_after,
            "bytes_after": found.size_after,
            "what": {what: {"count": found.count[what], "bytes": n_bytes} for what, n_bytes in found.taken.items()},
        },
        "rejects": [reject._asdict() for reject in size.rejects],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _amounts(amounts: Mapping[Origin, Amount]) -> dict[str, object]:
    return {origin: _amount(amount) for origin, amount in sorted(amounts.items())}


def _amount(amount: Amount) -> dict[str, int]:
    return {"records": amount.records, "bytes": amount.bytes, "tokens": amount.tokens, "images": amount.images}


def _turn(turn: TurnShare) -> dict[str, object]:
    return {
        "turn": turn.number,
        "turn_id": unicode_text(turn.turn_id) if turn.turn_id else None,
        "began": iso_instant(turn.began_ns) if turn.began_ns is not None else None,
        "origins": _amounts(turn.parts),
        "compactions": turn.compactions,
        "context_tokens": turn.tokens,
    }


def _copy(copy: Copy) -> dict[str, object]:
    return {"what": copy.what, "bytes": copy.bytes, "count": copy.count, "sha256": copy.digest}
