"""No payload and no credential is kept of what arrives: what becomes of each attribute, by its name and its value.

A string goes where its name says that it is a prompt, an answer, an argument or the like, and also where its name says
nothing and it reads like prose or like a document. Its kind, its length and the head of its SHA-256 stay, so that two
records can be seen to mean the same thing. What stays is cut, and looked through for credentials.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

import orjson

from turnscope.redact import Redactor
from turnscope_analyzer.sources.otlp.kept import STRING_CAP, holds_payload, integer, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_ATTRIBUTES: Final = 128
"""So many attributes of one thing are kept, as many as the SDKs keep by default."""

_NAME_CHARS: Final = 128
"""The rest of a longer name of an attribute is not even looked at."""

_MOST_ENTRIES: Final = 16
"""A longer list is not kept entry by entry."""

_WORDY: Final = 8
"""With more words than this, a string is taken for prose."""

_ALSO_PAYLOAD: Final = re.compile(
    r"(?:.*[._-])?(?:answer|arg(?:ument)?s|body|cmd|command(?:_?line|_args)?|completions?|content|diff|inputs?"
    r"|instructions|messages?|outputs?|parameters|params|patch|payload|prompts?|query|question|reasoning|requests?"
    r"|responses?|results?|schema|snippet|std(?:in|out|err)|summary|text|thinking|thought|transcript|user_?input)"
    r"|openclaw\.content\b.*|gcp\.vertex\.agent\.(?:llm|tool)_\w+|(?:.*[._])?all_messages_events",
    re.IGNORECASE,
)
"""A wider net than the one that reading has: what passes here would be on disk."""

_ERROR_TEXT: Final = re.compile(
    r"(?:.*[._])?(?:error|exception|failure|status)(?:[._]?(?:message|msg|description|reason|text|preview))?",
    re.IGNORECASE,
)
"""The words of an error: they tell a refused request from a stalled one. Cut and looked through like all others."""

_LOG_ARGS: Final = "openclaw.log.args"
_LOG_WORDS: Final = frozenset({"completed", "decision", "event", "isError", "model", "provider", "runId", "sessionId"})
_LOG_ERRORS: Final = frozenset({"error", "errorPreview", "rawErrorPreview"})
"""What OpenClaw's log says of a run; all else in it goes."""


class Texts:
    """Makes attributes and other strings fit to be kept.

    Args:
        drop: Counts what was replaced (``redacted``) or cut (``capped``).
    """

    def __init__(self, drop: Callable[[str], None]) -> None:
        self._drop = drop
        self._redactor = Redactor(drop)

    def short(self, text: object) -> str:
        """Return a name or another short string as it may be kept, "" where it is no string."""
        return self._redactor.text(text) if isinstance(text, str) else ""

    def error(self, text: object) -> str:
        """Return the words of an error as they may be kept, "" where there are none."""
        return self._redactor.text(text, STRING_CAP) if isinstance(text, str) else ""

    def body(self, value: object) -> str:
        """Return what is kept of a log record's body: its kind and size, "" where there is none."""
        kind, content = _value_of(value)
        return "" if content is None else self._gone(kind.removesuffix("Value"), content)

    def attributes(self, pairs: object, most: int = MOST_ATTRIBUTES) -> list[dict[str, object]]:
        """Return attributes in OTLP/JSON as far as they may be kept; what is none is left out."""
        kept: list[dict[str, object]] = []
        for pair in pairs if isinstance(pairs, list) else ():
            if isinstance(pair, dict) and isinstance(key := pair.get("key"), str):
                if len(kept) == most:
                    self._drop("capped")
                    break
                name, value = self._attribute(key[:_NAME_CHARS], *_value_of(pair.get("value")))
                if value:
                    kept.append({"key": name, "value": value})
        return kept

    def _attribute(self, key: str, kind: str, content: object) -> tuple[str, dict[str, object]]:
        if kind == "stringValue" and isinstance(content, str):
            name, text = self._string(key, content)
            return name, {"stringValue": text}
        return self.short(key), self._other(key, kind, content)

    def _string(self, key: str, text: str) -> tuple[str, str]:
        if key == _LOG_ARGS:
            return key, self._log_args(text)
        if _ERROR_TEXT.fullmatch(key):
            return self.short(key), self.error(text)
        if _is_payload(key) or _is_document(text):
            return self.short(key), self._gone("text", text)
        # By name as well: of an attribute that is called a token no value may be kept.
        [(name, value)] = self._redactor.attributes({key: text}).items()
        return name, str(value)

    def _other(self, key: str, kind: str, content: object) -> dict[str, object]:
        """Return the value of an attribute that is no string; nothing where it is damaged."""
        if kind == "boolValue" and isinstance(content, bool):
            return {kind: content}
        if kind == "intValue" and (whole := integer(content)) is not None:
            return {kind: str(whole)}
        if kind == "doubleValue" and (real := number(content)) is not None:
            return {kind: real}
        if kind == "arrayValue" and isinstance(content, dict):
            return self._array(key, content.get("values"))
        if kind in {"kvlistValue", "bytesValue"} and content is not None:
            return {"stringValue": self._gone(kind.removesuffix("Value"), content)}
        return {}

    def _array(self, key: str, values: object) -> dict[str, object]:
        entries = [_value_of(value) for value in values] if isinstance(values, list) else []
        plain = all(kind in {"stringValue", "intValue", "boolValue", "doubleValue"} for kind, _ in entries)
        if len(entries) > _MOST_ENTRIES or not plain or _is_payload(key):
            return {"stringValue": self._gone("array", values)}
        kept = (self._attribute(key, kind, content)[1] for kind, content in entries)
        return {"arrayValue": {"values": [value for value in kept if value]}}

    def _log_args(self, text: str) -> str:
        """Return what OpenClaw logged with its words, a JSON text, as far as it tells of a run."""
        try:
            args = orjson.loads(text.encode("utf-8", "replace"))
        except orjson.JSONDecodeError:
            return self._gone("text", text)
        told = args[0] if isinstance(args, list) and args and isinstance(args[0], dict) else {}
        kept: dict[str, object] = {name: value for name, value in told.items() if isinstance(value, bool)}
        kept |= {
            name: self.short(value) for name, value in told.items() if name in _LOG_WORDS and value.__class__ is str
        }
        kept |= {name: self.error(value) for name, value in told.items() if name in _LOG_ERRORS}
        return orjson.dumps([{name: kept[name] for name in _LOG_WORDS | _LOG_ERRORS if name in kept}]).decode()

    def _gone(self, kind: str, content: object) -> str:
        """Return what stands in the place of something that is not kept."""
        self._drop("redacted")
        if isinstance(content, str):
            return _placeholder(kind, len(content), "chars", content.encode("utf-8", "replace"))
        if isinstance(content, bytes):
            return _placeholder(kind, len(content), "bytes", content)
        try:
            text = json.dumps(content, default=repr).encode()
        except (RecursionError, ValueError):
            return f"<{kind}, nested too deep>"
        return _placeholder(kind, len(text), "bytes", text)


def _value_of(value: object) -> tuple[str, object]:
    """Return the kind of a value of OTLP/JSON, in its own spelling, and what it holds; None where it is none."""
    if isinstance(value, dict):
        for name, content in value.items():
            if isinstance(name, str) and (kind := _KINDS.get(name)) is not None:
                return kind, content
    return "", None


_KINDS: Final[Mapping[str, str]] = {
    spelling: f"{kind}Value"
    for kind in ("string", "bool", "int", "double", "array", "kvlist", "bytes")
    for spelling in (f"{kind}Value", f"{kind}_value")
}


def _is_payload(key: str) -> bool:
    return holds_payload(key) or _ALSO_PAYLOAD.fullmatch(key) is not None


def _is_document(text: str) -> bool:
    """Tell whether a string is more than a name, an id or a few words: prose, JSON, a list, something with lines."""
    return text.count(" ") > _WORDY or "\n" in text or text.lstrip()[:1] in {"{", "[", "<"}


def _placeholder(kind: str, count: int, unit: str, content: bytes) -> str:
    return f"<{kind} of {count} {unit}, sha256 {hashlib.sha256(content).hexdigest()[:12]}>"
