"""What is kept of a record's fields: short strings, numbers, ids and times; never what people or models say."""

from __future__ import annotations

import base64
import binascii
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.timeline import END_NS

if TYPE_CHECKING:
    from turnscope_analyzer.sources.otlp.records import Attribute

STRING_CAP: Final = 512
"""So many characters of a string are kept: enough for every id and kind, and for the words that tell an error."""

_INT_END: Final = 1 << 63
_PAYLOAD = re.compile(
    r"(?:.*\.)?(?:arguments|body|completion|content|input|instructions|messages?_?json|output|prompt|text|transcript)"
    r"|gen_ai\.(?:prompt|completion|input|output\.messages|tool\.call\.result|tool\.definitions|system_instructions)\b.*"
    r"|(?:input|output)\.value"
    r"|llm\.(?:input_messages|output_messages|prompts|completions|prompt_template|tools)\b.*"
    r"|(?:gen_ai\.|llm\.)?(?:.*\.)?messages"
    r"|ai\.(?:prompt|response\.text|response\.object|response\.toolCalls|toolCall\.args|toolCall\.result)\b.*"
    r"|(?:embedding|retrieval|reranker|document)\b.*"
    r"|tool\.(?:parameters|description|json_schema)"
    r"|(?:mlflow|traceloop)\.(?:spanInputs|spanOutputs|entity\.input|entity\.output)"
    r"|logfire\.(?:msg|json_schema|msg_template)"
    r"|exception\.stacktrace|db\.(?:statement|query\.text)|url\.query"
)
"""Attributes that hold a payload, by their whole name. Source: the GenAI conventions, OpenInference, OpenLLMetry."""


@lru_cache(maxsize=4_096)
def holds_payload(key: str) -> bool:
    """Tell by its name whether an attribute may hold a prompt, an answer, arguments or another payload."""
    return _PAYLOAD.fullmatch(key) is not None


def short(text: object) -> str:
    """Return *text* cut to what is kept, "" where it is no string."""
    return text[:STRING_CAP] if isinstance(text, str) else ""


def hex_id(value: object) -> str:
    """Return a trace or span id in lower-case hex, given in hex, in base64 or as bytes; "" where it is none."""
    if isinstance(value, bytes):
        raw = value
    elif isinstance(value, str) and len(value) in {16, 32}:
        # The length tells the encodings apart: base64 has 12 or 24 characters.
        return value.lower() if _is_id(value) else ""
    elif isinstance(value, str) and len(value) in {12, 24}:
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return ""
    else:
        return ""
    return raw.hex() if len(raw) in {8, 16} and any(raw) else ""


def _is_id(text: str) -> bool:
    try:
        return int(text, 16) != 0 and text.isalnum()
    except ValueError:
        return False


def integer(value: object) -> int | None:
    """Return a 64-bit integer that is given as a number or in decimal digits, None where it is none."""
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_INT_END <= value < _INT_END else None


def time_ns(value: object) -> int:
    """Return a time in epoch ns, 0 where there is none or it is no time."""
    found = integer(value)
    return found if found is not None and 0 < found < END_NS else 0


def number(value: object) -> float | None:
    """Return a finite floating-point number, None where it is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if type(value) in {int, float} and math.isfinite(value) else None  # type: ignore[arg-type]


def scalar(value: object) -> Attribute:
    """Return a plain value as far as it is kept, None where it is not."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:STRING_CAP]
    return number(value) if isinstance(value, float) else integer(value)
