"""What each record of a rollout puts into the context of the thread's next request, and how much.

Bytes are turned into tokens as Codex itself estimates them: four bytes a token, each picture for what it costs when it
has been made smaller, and of sealed reasoning what it unpacks to.
Source: codex-rs/core/src/context_manager/history.rs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import orjson

from turnscope_analyzer.sources.lines import CAP_BYTES
from turnscope_analyzer.sources.objects import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.context.measure import Images
    from turnscope_analyzer.sources.codex.records import Record

Origin = Literal[
    "user",
    "assistant",
    "reasoning",
    "tool_call",
    "tool_output",
    "image",
    "compaction",
    "instructions",
    "replay",
    "other",
]
ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)

LABELS: Final[Mapping[Origin, str]] = {
    "user": "user's messages",
    "assistant": "answers",
    "reasoning": "reasoning",
    "tool_call": "tool calls",
    "tool_output": "tool outputs",
    "image": "images",
    "compaction": "compacted histories",
    "instructions": "injected instructions",
    "replay": "replays for clients",
    "other": "other records",
}
"""What a person calls them."""

BYTES_A_TOKEN: Final = 4
IMAGE_BYTES: Final = 7_373
"""What a picture counts for, whatever its bytes on file."""

_SEALED_BYTES: Final = 650
"""What the sealing of reasoning adds."""

_BY_NAME: Final[tuple[tuple[str, Origin], ...]] = (
    ("compacted", "compaction"),
    ("session_meta", "instructions"),
    ("response_item/message/assistant", "assistant"),
    ("response_item/message/user", "user"),
    ("response_item/message", "instructions"),
    ("response_item/additional_tools", "instructions"),
    ("response_item/reasoning", "reasoning"),
    ("response_item/function_call_output", "tool_output"),
    ("response_item/custom_tool_call_output", "tool_output"),
    ("response_item/local_shell_call_output", "tool_output"),
    ("response_item/tool_search_output", "tool_output"),
    ("response_item/image_generation_call", "tool_output"),
    ("response_item/ghost_snapshot", "other"),
    ("response_item/", "tool_call"),
    ("bare/message/assistant", "assistant"),
    ("bare/message", "user"),
    ("event_msg/guardian_assessment", "instructions"),
    ("event_msg/exec_approval_request", "instructions"),
    ("event_msg/apply_patch_approval_request", "instructions"),
    ("event_msg/item_completed", "replay"),
    ("event_msg/user_message", "replay"),
    ("event_msg/agent_message", "replay"),
    ("event_msg/agent_reasoning", "replay"),
    ("event_msg/exec_command_end", "replay"),
    ("event_msg/patch_apply_end", "replay"),
    ("event_msg/mcp_tool_call_end", "replay"),
    ("event_msg/dynamic_tool_call_response", "replay"),
    ("event_msg/image_generation_end", "replay"),
    ("event_msg/web_search_end", "replay"),
    ("event_msg/turn_diff", "replay"),
)
"""The begin of a record's name -> where what is in it comes from; the first that fits counts, else ``other``.

A replay says to a client what another record has said to the model.
"""

_SENT: Final = frozenset(ORIGINS) - {"replay", "other"}
_INJECTED = re.compile(r"\s*(?:<[a-z][\w-]*[\s>]|# AGENTS\.md instructions)")
_KINDS: Final = "content_item_kinds"
_PASSED: Final = "internal_chat_message_metadata_passthrough"


class Piece(NamedTuple):
    """What one record is of: its origin, and the bytes of it that a request carries, pictures apart."""

    origin: Origin
    sent_bytes: int


def piece_of(record: Record, images: Images) -> Piece:
    """Tell where a record comes from; of one that is too long to be held, all but its pictures counts as sent."""
    origin: Origin = next((origin for begin, origin in _BY_NAME if record.name.startswith(begin)), "other")
    if origin == "user" and is_injected(record.payload):
        origin = "instructions"
    if origin not in _SENT or record.name.startswith("event_msg/"):
        return Piece(origin, 0)
    if record.length > CAP_BYTES:
        return Piece(origin, max(record.length - images.bytes, 0))
    return Piece(origin, _sent(record))


def is_injected(payload: Mapping[str, Any]) -> bool:
    """Tell whether a message that goes by the user's name is the program's: instructions, surroundings, notices."""
    kinds = part(payload, _PASSED).get(_KINDS)
    if isinstance(kinds, list) and kinds:
        return not any(str(kind).startswith("user.") for kind in kinds)
    content = payload.get("content")
    first = content[0] if isinstance(content, list) and content else None
    text = first.get("text") if isinstance(first, dict) else None
    return isinstance(text, str) and _INJECTED.match(text) is not None


def tokens_of(sent_bytes: int, images: int = 0) -> int:
    """Return about how many tokens so many bytes and pictures are."""
    return -(-(sent_bytes + images * IMAGE_BYTES) // BYTES_A_TOKEN)


def text_bytes(content: object) -> int:
    """Return the bytes of all texts in a message's or an output's content."""
    if isinstance(content, str):
        return len(content.encode("utf-8", "surrogatepass"))
    if isinstance(content, dict):
        return text_bytes(content.get("text", content.get("output")))
    return sum(text_bytes(piece) for piece in content) if isinstance(content, list) else 0


def _sent(record: Record) -> int:
    payload = record.payload
    if record.name == "session_meta":
        told = payload.get("base_instructions", payload.get("instructions"))
        return text_bytes(told)
    if record.name != "compacted":
        return _item(payload)
    history = payload.get("replacement_history")
    if not isinstance(history, list):
        return text_bytes(payload.get("message"))
    return sum(_item(item) for item in history if isinstance(item, dict))


def _item(item: Mapping[str, Any]) -> int:
    """Return what an item of the conversation puts into a request."""
    sealed = item.get("encrypted_content")
    bytes_ = max(len(sealed) * 3 // 4 - _SEALED_BYTES, 0) if isinstance(sealed, str) else 0
    for name in ("content", "summary", "name", "arguments", "input", "output"):
        bytes_ += text_bytes(item.get(name))
    if action := part(item, "action") or item.get("tools"):
        bytes_ += len(orjson.dumps(action))
    return bytes_
