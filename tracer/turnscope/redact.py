"""No payload and no credential gets into the journal, however it was handed in.

Strings are capped. ``data:`` URLs, long base64 and whatever looks like a credential give way to a placeholder that
says their kind, length and the head of their SHA-256, so that two records can be seen to mean the same thing.
Containers, bytes and objects are reduced to their kind and size. Every replacement and every cut is counted.
"""

from __future__ import annotations

import hashlib
import operator
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TEXT_CHARS: Final = 256
"""The longest string that an attribute keeps."""

ID_CHARS: Final = 128
"""The longest id of a session, a turn, a call or a client."""

NAME_CHARS: Final = 64
"""The longest name of an attribute."""

_SEEN_CHARS: Final = 1024
# How much is looked at beyond what is kept: enough that a credential across the cut is still recognised by its head.

_REMEMBERED: Final = 4096

_SIZED: Final = (bytes, bytearray, memoryview, list, tuple, set, frozenset, dict)

PLAIN: Final = frozenset({int, float, bool, type(None)})

_BASE64_CHARS: Final = 160

# The kind, needles in lower case without one of which the pattern need not run, and what it looks like.
_LOOKS: Final = (
    ("private_key", "private key", r"-----BEGIN [A-Z\d ]*PRIVATE KEY.*?(?:-----END [A-Z\d ]*PRIVATE KEY-----|\Z)"),
    ("data_url", "data:", r"\bdata:[\w.+/-]*(?:;[\w.+=-]+)*,\S*"),
    ("jwt", "eyj", r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"),
    ("bearer", "bearer|basic", r"\b(?:bearer|basic)\s+[\w.~+/=-]{16,}"),
    ("api_key", "sk-|xai-", r"\b(?:sk|xai)-[\w-]{12,}"),
    ("api_key", "sk_|rk_|aiza|hf_|gsk_", r"\b(?:[sr]k_(?:live|test)_\w{8,}|AIza[\w-]{30,}|(?:hf|gsk)_\w{16,})"),
    ("github_token", "gh|glpat-", r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,})"),
    ("aws_key", "akia|asia", r"\b(?:AKIA|ASIA)[A-Z\d]{16}\b"),
    ("slack_token", "xox", r"\bxox[abeoprs]-[\w-]{8,}"),
    ("url_password", "://", r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    (
        "secret",
        "passw|secret|token|key|authorization",
        r"\b[\w.-]*(?:password|passwd|secret|token|(?:api|access)[_-]?key|authorization)"
        r"[\"']?\s*[=:]\s*[\"']?[^\s\"'&,;<]{4,}",
    ),
    ("base64", "", rf"[A-Za-z\d+/_-]{{{_BASE64_CHARS},}}={{0,2}}"),
)

_PATTERNS: Final = tuple(
    (kind, needles.split("|"), re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, needles, pattern in _LOOKS
)

_NEEDLES: Final = tuple(needle for _, needles, _ in _PATTERNS for needle in needles if needle)

_SECRET_NAME = re.compile(
    r"passw|secret|credential|cookie|(?:api|access|private)_?key|(?:^|_)token$|authorization", re.IGNORECASE
)


class Redactor:
    """Makes the values of a mark fit to be kept; remembers what it has passed, so that a repeat is one look-up.

    Args:
        drop: Counts a replacement (``redacted``) or a cut (``capped``).
    """

    def __init__(self, drop: Callable[[str], None]) -> None:
        self._drop = drop
        self.passed: set[str] = set()
        self.names: set[str] = set()

    def text(self, value: str, cap: int = TEXT_CHARS) -> str:
        """Return *value* as it may be kept, at most *cap* characters long."""
        if value in self.passed and len(value) <= cap:
            return value
        seen = value[: cap + _SEEN_CHARS]
        if not seen.isascii():
            seen = seen.encode("utf-8", "replace").decode()
        safe = self._without_secrets(seen, len(value) - len(seen))
        if len(safe) > cap or (safe is seen and len(value) > len(seen)):
            safe = safe[: cap - 1] + "…"
            self._drop("capped")
        elif safe is value:
            _remember(self.passed, value)
        return safe

    def identifier(self, value: object) -> str:
        """Return *value* as a short string that may stand as an id or in a lane; ``""`` for ``None``."""
        if value is None:
            return ""
        if isinstance(value, (str, *_SIZED)):
            return str(self._reduced(value, ID_CHARS))
        return self.text(str(value), ID_CHARS)  # numbers and UUIDs make ids, too

    def attributes(self, attrs: Mapping[str, object]) -> dict[str, object]:
        """Return *attrs* with each name and each value as it may be kept."""
        return dict(self._attribute(name, value) for name, value in attrs.items())

    def _attribute(self, name: str, value: object) -> tuple[str, object]:
        if name not in self.names:
            safe_name = self.text(str(name), NAME_CHARS)
            if _SECRET_NAME.search(safe_name):
                return safe_name, self._secret(value)
            if safe_name is name:
                _remember(self.names, name)
            name = safe_name
        return name, self._reduced(value, TEXT_CHARS)

    def _secret(self, value: object) -> object:
        """Return the placeholder of a value whose name alone says that it is a secret."""
        if not isinstance(value, str):
            return self._reduced(value, TEXT_CHARS)
        self._drop("redacted")
        return _placeholder("secret", value[:_SEEN_CHARS], max(0, len(value) - _SEEN_CHARS))

    def _reduced(self, value: object, cap: int) -> object:
        """Return *value* as a string, a number or ``None``; of everything else only what it is and how large."""
        if isinstance(value, str):
            return self.text(value if type(value) is str else str.__str__(value), cap)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float):
            return float(value)
        if hasattr(value, "__index__"):
            number = operator.index(value)  # numpy's integers are no int and have it
            return number if -(2**63) <= number < 2**63 else f"<int of {number.bit_length()} bits>"
        self._drop("redacted")
        if isinstance(value, _SIZED):
            return f"<{type(value).__name__} of {len(value)}>"
        return f"<{type(value).__name__[:NAME_CHARS]}>"

    def _without_secrets(self, text: str, unseen_chars: int) -> str:
        lower = text.lower()
        # Ids are short, new each time and almost never a secret: they pay for this one line and no more.
        if len(text) < _BASE64_CHARS and not any(map(lower.__contains__, _NEEDLES)):
            return text
        for kind, needles, pattern in _PATTERNS:
            if any(needle in lower for needle in needles):
                text = pattern.sub(lambda match, kind=kind: self._replace(kind, match, unseen_chars), text)  # type: ignore[misc]
        return text

    def _replace(self, kind: str, match: re.Match[str], unseen_chars: int) -> str:
        self._drop("redacted")
        return _placeholder(kind, match[0], unseen_chars if match.end() == len(match.string) else 0)


def _placeholder(kind: str, secret: str, unseen_chars: int) -> str:
    digest = hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()[:12]
    return f"<{kind} of {len(secret) + unseen_chars} chars, sha256 {digest}>"


def _remember(known: set[str], value: str) -> None:
    # Emptied, not evicted one by one: what is in use is back after one look each, and no order has to be kept.
    if len(known) >= _REMEMBERED:
        known.clear()
    known.add(value)
