"""Fit text into the columns of a terminal: no line that leaves here is wider than the style says."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import east_asian_width

from turnscope_analyzer.report.wording import escaped

if TYPE_CHECKING:
    from turnscope.phases import State

NARROWEST: Final = 48
"""Columns below which no report can be read; a narrower terminal wraps by itself."""

WIDEST: Final = 120
"""Columns beyond which a line of prose cannot be followed by the eye."""


class Glyphs(NamedTuple):
    """The signs that are drawn with. ``blocks`` go from empty to full, in equal steps."""

    blocks: str
    ellipsis: str
    dot: str
    arrow: str


UNICODE: Final = Glyphs(blocks=" ▏▎▍▌▋▊▉█", ellipsis="…", dot="·", arrow="→")
ASCII: Final = Glyphs(blocks=" =", ellipsis="...", dot="|", arrow="->")

_ASCII_FOR: Final = str.maketrans({"…": "...", "·": "|", "→": "->", "≥": ">=", "≤": "<=", "×": "x", "–": "-", "—": "-"})  # noqa: RUF001

_TONES: Final = {"stuck": "31", "orphaned": "31", "waiting": "36", "failed": "33", "slow": "33", "healthy": "32"}
"""ANSI colour by state. It is never the only sign: the state is always written, too."""


@dataclass(frozen=True, slots=True)
class Style:
    """How wide (at least ``NARROWEST``), with which signs and whether in colour a report is drawn."""

    width: int = 80
    glyphs: Glyphs = UNICODE
    colour: bool = False

    def __post_init__(self) -> None:
        if self.width < NARROWEST:
            raise ValueError(f"a width of {self.width} columns holds no report; the least is {NARROWEST}")

    def clean(self, text: str) -> str:
        """Return *text* with only signs that the terminal can show, each on its own column or two."""
        if self.glyphs is not ASCII or text.isascii():
            return escaped(text)
        return escaped(text.translate(_ASCII_FOR)).encode("ascii", "backslashreplace").decode("ascii")

    def wrap(self, text: str, first: str = "", rest: str = "") -> list[str]:
        """Break *text* into lines that fit; *first* stands before the first one and *rest* before the others."""
        return wrap(self.clean(text), self.width, first, rest)

    def cut(self, text: str) -> str:
        """Return *text* on one line that fits, an ellipsis at its end where it was cut."""
        return cut(self.clean(text), self.width, self.glyphs.ellipsis)

    def flow(self, *parts: str, first: str = "", rest: str = "") -> list[str]:
        """Put the *parts* that say something on as few lines as they need, a dot between those that share one.

        A line is broken within a part only where the part is wider than a line.
        """
        lines: list[str] = []
        for part in filter(None, map(self.clean, parts)):
            together = f"{lines[-1]} {self.glyphs.dot} {part}" if lines else ""
            if lines and columns(together) <= self.width:
                lines[-1] = together
            else:
                lines += wrap(part, self.width, rest if lines else first, rest)
        return lines

    def painted(self, line: str, length: int, state: State) -> str:
        """Colour the first *length* signs of a finished line as the state asks for."""
        if not self.colour or state not in _TONES:
            return line
        return f"\x1b[1;{_TONES[state]}m{line[:length]}\x1b[0m{line[length:]}"


def terminal_style(*, colour: bool) -> Style:
    """Return the style that fits standard output: its width, and the signs that its encoding has."""
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    return Style(width, UNICODE if _shows(UNICODE.blocks) else ASCII, colour)


def _shows(signs: str) -> bool:
    """Tell whether standard output's encoding has all *signs*."""
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def columns(text: str) -> int:
    """Return the most columns that printable *text* takes up.

    A combining sign counts as one although it takes none: the other way round a line could be thousands of
    signs long and still count as narrow.
    """
    if text.isascii():
        return len(text)
    return sum(_sign_columns(sign) for sign in text)


def _sign_columns(sign: str) -> int:
    return 2 if east_asian_width(sign) in "WF" else 1


def cut(text: str, width: int, ellipsis: str) -> str:
    """Return *text* if it fits into *width*, else as much of it as fits before an ellipsis."""
    if columns(text) <= width:
        return text
    return _head(text, width - len(ellipsis)).rstrip() + ellipsis


def fit(text: str, width: int, ellipsis: str) -> str:
    """Return *text* cut or padded to exactly *width* columns."""
    short = cut(text, width, ellipsis)
    return short + " " * (width - columns(short))


def wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Break *text* at its spaces into lines of at most *width* columns; a word wider than a line is broken, too.

    Returns: At least one line, *first* or *rest* before each; both must leave two columns free.
    """
    lines: list[str] = []
    line, empty = first, True
    for word in text.split(" "):
        if not empty and columns(line) + 1 + columns(word) <= width:
            line = f"{line} {word}"
            continue
        if not empty:
            lines.append(line)
            line = rest
        *full, line = _broken(word, width, line, rest)
        lines += full
        empty = False
    return [line.rstrip() for line in (*lines, line)]


def _broken(word: str, width: int, first: str, rest: str) -> list[str]:
    """Return *word* on as many lines as it needs, mostly one; a path is broken behind a folder if it can be."""
    lines = []
    prefix, left = first, word
    while columns(prefix) + columns(left) > width:
        head = _head(left, width - columns(prefix))
        head = head[: head.rfind("/") + 1] or head
        lines.append(prefix + head)
        prefix, left = rest, left[len(head) :]
    return [*lines, prefix + left]


def _head(text: str, width: int) -> str:
    """Return the longest beginning of *text* that fits into *width* columns."""
    if text.isascii():
        return text[: max(width, 0)]
    used = 0
    for position, sign in enumerate(text):
        used += _sign_columns(sign)
        if used > width:
            return text[:position]
    return text


def bar(cells: float, glyphs: Glyphs) -> str:
    """Return a bar of at most *cells* columns, as long as the glyphs' steps allow; may be empty."""
    steps = len(glyphs.blocks) - 1
    full, part = divmod(int(cells * steps), steps)
    return glyphs.blocks[-1] * full + (glyphs.blocks[part] if part else "")
