"""Texts of a transcript as they may stand in a handoff: without credentials, pictures and control signs, and short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from turnscope.redact import Redactor
from turnscope_analyzer.report.wording import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHOLE: Final = 1 << 20
"""Longer than any text that is kept: the redactor has nothing to cut."""

_KEY_END = re.compile(r"\A(?:(?!-----BEGIN ).)*-----END [A-Z\d ]*PRIVATE KEY-----", re.DOTALL)
_FENCE = re.compile(r"`{3,}")
_HEAD_SHARE: Final = 2 / 3


class Cleaner:
    """Makes texts fit to be written; asked for the same text again, it does not look at it twice."""

    def __init__(self) -> None:
        self._redactor = Redactor(self._count)
        self._known: dict[str, tuple[str, int]] = {}
        self._replaced = 0

    def clean(self, text: str) -> str:
        """Return *text* without credentials, and with only signs that can be seen."""
        return self._looked(text)[0]

    def replaced_in(self, text: str) -> int:
        """Return how many credentials and payloads of *text* were replaced."""
        return self._looked(text)[1]

    def _looked(self, text: str) -> tuple[str, int]:
        if text not in self._known:
            # The end of a key whose beginning was left out does not look like a secret by itself.
            cut, self._replaced = _KEY_END.subn("<private key>", text)
            safe = self._redactor.text(cut, _WHOLE)
            self._known[text] = "\n".join(map(escaped, safe.expandtabs(4).splitlines())), self._replaced
        return self._known[text]

    def _count(self, _reason: str) -> None:
        self._replaced += 1


def shorten(text: str, cap_chars: int) -> str:
    """Return *text*, or its two ends where it is longer than *cap_chars*; never cut in a word."""
    text = text.strip()
    if len(text) <= cap_chars:
        return text
    head = text[: int(cap_chars * _HEAD_SHARE)]
    head = head[: max(head.rfind(" "), head.rfind("\n")) + 1] or head
    tail = text[-int(cap_chars * (1 - _HEAD_SHARE)) :]
    tail = tail.partition("\n")[2] or tail.partition(" ")[2]
    left_out = len(text) - len(head) - len(tail)
    return f"{head.rstrip()}\n[{left_out:,} characters left out]\n{tail}".rstrip()


def on_one_line(text: str, cap_chars: int) -> str:
    """Return the beginning of *text* on one line, as code in Markdown."""
    line = " ".join(text.split()).replace("`", "'")
    return f"`{line if len(line) <= cap_chars else line[:cap_chars].rstrip() + '…'}`"


def quoted(text: str) -> Iterator[str]:
    """Yield the lines of a quote."""
    for line in text.splitlines():
        yield f"> {line}".rstrip()


def fenced(text: str) -> Iterator[str]:
    """Yield the lines of a block of code, whatever stands in it."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    yield f"{fence}text"
    yield from text.splitlines()
    yield fence
