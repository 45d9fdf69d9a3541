"""Where the long strings of a file of JSON lines stand, and in what; in bounded memory, however long a line is.

A line is looked at closely only where it can hold something to replace. What is told of one that is damaged is not to
be acted on: its end says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LONG_BYTES: Final = 1 << 10
"""A shorter string is not worth a placeholder."""

BLOCK_BYTES: Final = 256 << 10
"""What is read at once; a line that is longer is always looked at closely."""

_HELD_BYTES: Final = 64 << 10
"""A string up to this length is held as a whole while it is read."""

_WORD_BYTES: Final = 64
_MAX_DEPTH: Final = 256
_NO_STRUCTURE: Final = b" \t\r0123456789+-.eEtrufalsn"
"""What may stand between strings beside structure: blanks, numbers, true, false, null."""

HINTS: Final = (b"data:image/", b'"image_generation', b'"type":"image"')
"""A shorter line without any of these holds no picture."""

_TOOLS: Final = frozenset(
    {b"function_call_output", b"custom_tool_call_output", b"local_shell_call_output", b"mcp_tool_call_output"}
    | {b"exec_command_end", b"mcp_tool_call_end", b"patch_apply_end", b"dynamic_tool_call_response"}
    | {b"CommandExecution", b"McpToolCall", b"DynamicToolCall"}
)
"""Objects of these types hold what a tool gave back."""

_OUTPUTS: Final = frozenset(
    {b"output", b"stdout", b"stderr", b"aggregated_output", b"formatted_output", b"result", b"content_items"}
)
"""In these fields."""

_SEALED: Final = frozenset({b"encrypted_content", b"signature"})
"""Not text but something that is checked by whoever made it."""


class LongString(NamedTuple):
    """A string value of at least `LONG_BYTES`; ``start`` and ``end`` are those of what stands between the quotes.

    ``key`` and ``type`` are the name of its field and the type of the object around it, as far as they are known.
    """

    start: int
    end: int
    key: bytes
    type: bytes
    is_output: bool


class LineEnd(NamedTuple):
    """The end of a line that was looked at closely; it is followed by a newline unless the file ends there."""

    start: int
    end: int
    is_whole: bool


class _Frame:
    """An object or an array that is not closed yet."""

    __slots__ = ("is_object", "is_output", "key", "type")

    def __init__(self, *, is_object: bool, is_output: bool, key: bytes) -> None:
        self.is_object, self.is_output, self.key = is_object, is_output, key
        self.type = b""

    def holds_output(self) -> bool:
        """Tell whether the value that comes next is what a tool gave back."""
        if not self.is_object:
            return self.is_output
        return (self.is_output and self.key not in _SEALED) or (self.type in _TOOLS and self.key in _OUTPUTS)


class LongStrings:
    """The long strings of a file, in order, and the ends of the lines that they are in.

    Attributes:
        lines: How many lines there were so far.
        longest: The bytes of the longest.
    """

    def __init__(self, file: BinaryIO, *, glance_bytes: int) -> None:
        """Begin where *file* stands.

        Args:
            file: Open for reading, unbuffered.
            glance_bytes: A line shorter than this is looked at closely only if it holds one of the `HINTS`.
        """
        self.lines = self.longest = 0
        self._file = file
        self._glance_bytes = min(glance_bytes, BLOCK_BYTES)
        self._base = 0  # where the window begins in the file
        self._window = b""
        self._at = 0  # in the window
        self._line = 0
        self._stack: list[_Frame] = []
        self._last = 0
        self._is_bad = False

    def __iter__(self) -> Iterator[LongString | LineEnd]:
        while self._at < len(self._window) or self._fill():
            self._line = self._base + self._at
            if not self._skip_line():
                yield from self._close_look()

    def _fill(self) -> bool:
        """Add the next block to what is left of the window; return whether there was one."""
        block = self._file.read(BLOCK_BYTES)
        self._base += self._at
        self._window = self._window[self._at :] + block
        self._at = 0
        return bool(block)

    def _skip_line(self) -> bool:
        """Go to the next line if this one is known to hold nothing."""
        end = self._window.find(b"\n", self._at)
        while end < 0 and len(self._window) - self._at < self._glance_bytes:
            seen = len(self._window) - self._at
            if not self._fill():
                break
            end = self._window.find(b"\n", seen)
        if end < 0 or end - self._at >= self._glance_bytes:
            return False
        if not self._glance_bytes or any(self._window.find(hint, self._at, end) >= 0 for hint in HINTS):
            return False
        self._count(end - self._at)
        self._at = end + 1
        return True

    def _count(self, length: int) -> None:
        self.lines += 1
        self.longest = max(self.longest, length)

    def _close_look(self) -> Iterator[LongString | LineEnd]:
        self._stack.clear()
        self._last, self._is_bad = 0, False
        while True:
            window, at = self._window, self._at
            quote = window.find(b'"', at)
            newline = window.find(b"\n", at, quote if quote >= 0 else len(window))
            if newline >= 0:
                self._structure(window[at:newline])
                yield self._end_line(newline)
                self._at = newline + 1
                return
            self._structure(window[at : quote if quote >= 0 else len(window)])
            if quote >= 0:
                self._at = quote + 1
                yield from self._string()
            else:
                self._at = len(window)
                if not self._fill():
                    yield self._end_line(0)
                    return

    def _end_line(self, at: int) -> LineEnd:
        end = self._base + at
        self._count(end - self._line)
        return LineEnd(self._line, end, not self._is_bad and not self._stack and self._last in b"}]")

    def _structure(self, text: bytes) -> None:
        for sign in text.translate(None, _NO_STRUCTURE):
            if sign in b"{[":
                self._push(is_object=sign == 0x7B)
            elif sign in b"}]":
                if not self._stack or self._stack.pop().is_object != (sign == 0x7D):
                    self._is_bad = True
            elif sign not in b",:":
                self._is_bad = True
            self._last = sign

    def _push(self, *, is_object: bool) -> None:
        stack = self._stack
        if len(stack) >= _MAX_DEPTH:
            self._is_bad = True
            return
        above = stack[-1] if stack else None
        stack.append(
            _Frame(
                is_object=is_object,
                is_output=above is not None and above.holds_output(),
                key=b"" if above is None or is_object else above.key,
            )
        )

    def _string(self) -> Iterator[LongString]:
        """Read a string whose quote was just passed, tell of it if it is long, and pass its end."""
        start = self._base + self._at
        end = self._end_of_string()
        length = end - start
        frame = self._stack[-1] if self._stack else None
        if frame is None or self._last in b'"}]':
            # A string with nothing around it, or right behind another value.
            self._is_bad = True
            return
        word = self._window[self._at - 1 - length : self._at - 1] if length <= _WORD_BYTES else b""
        if frame.is_object and self._last != 0x3A:
            frame.key = word
        else:
            if frame.is_object and frame.key == b"type":
                frame.type = word
            if length >= LONG_BYTES:
                yield LongString(start, end, frame.key, frame.type, frame.holds_output())
        self._last = 0x22

    def _end_of_string(self) -> int:
        """Pass the closing quote and return where it stands; a string without one ends before its line does."""
        seen = self._at
        odd = False  # whether an odd number of backslashes stands before ``seen``
        while True:
            window = self._window
            quote = window.find(b'"', seen)
            stop = quote if quote >= 0 else len(window)
            newline = window.find(b"\n", seen, stop)
            if newline >= 0:
                self._is_bad = True
                self._at = newline
                return self._base + newline
            odd = _is_odd(window, seen, stop, before=odd)
            if quote >= 0 and not odd:
                self._at = quote + 1
                return self._base + quote
            if quote >= 0:
                seen, odd = quote + 1, False
                continue
            # More is needed. Of a long string nothing is held.
            if len(window) - self._at > _HELD_BYTES:
                self._at = len(window)
            seen = len(window) - self._at
            if not self._fill():
                self._is_bad = True
                self._at = len(self._window)
                return self._base + self._at


def _is_odd(window: bytes, start: int, stop: int, *, before: bool) -> bool:
    """Tell whether an odd number of backslashes stands right before *stop*, none counted that is before *start*."""
    count = 0
    while stop - count > start and window[stop - count - 1] == 0x5C:
        count += 1
    return bool((count + (before and stop - count == start)) & 1)
