"""What a thread's file holds that can be taken out, found in one pass; and whether it may be touched at all.

Only what stands in a JSON string is ever taken out, in a line that is sound: the line means the same afterwards.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.repair.plan import Stamp, stamp_of
from turnscope_analyzer.repair.writing import digest_of
from turnscope_analyzer.rescue.lines import PARSED_BYTES, parses
from turnscope_analyzer.rescue.placeholders import Form, placeholder
from turnscope_analyzer.rescue.strings import BLOCK_BYTES, LONG_BYTES, LineEnd, LongString, LongStrings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

MAX_OUTPUT_BYTES: Final = 64 << 10
"""Tool output up to this size stays: agents cut what they show their model to about two thirds of it themselves."""

TOOL_OUTPUT: Final = "tool output"

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_RUN = re.compile(rb"[A-Za-z0-9+/=]*")
_URL: Final = b"data:image/"
_HEADER = re.compile(rb"data:(image/[\w.+-]{1,32})(?:;[\w.+=-]{1,48}){0,3};base64,")
_HEADER_BYTES: Final = 256
_BARE_IMAGES: Final = {b"image": b"data", b"image_generation_call": b"result", b"image_generation_end": b"result"}
"""Types of objects that hold a picture without ``data:`` before it, and the field that holds it."""

_FORMS: Final[tuple[Form, ...]] = ("image_url", "image_data", "text")
_PACKED = struct.Struct("<QQBH32s")


class Edit(NamedTuple):
    """A piece of the file that is taken out."""

    start: int
    size_bytes: int
    form: Form
    what: str
    sha256: str

    @property
    def placeholder(self) -> bytes:
        """What comes in its place."""
        return placeholder(self.form, self.what, self.size_bytes, self.sha256)


class Edits:
    """The edits of a file in order; 51 bytes each, however much they take out."""

    def __init__(self) -> None:
        self._packed = bytearray()
        self._kinds: list[str] = []

    def add(self, edit: Edit) -> None:
        """Append an edit."""
        if edit.what not in self._kinds:
            self._kinds.append(edit.what)
        form, kind = _FORMS.index(edit.form), self._kinds.index(edit.what)
        self._packed += _PACKED.pack(edit.start, edit.size_bytes, form, kind, bytes.fromhex(edit.sha256))

    def taken_bytes(self) -> int:
        """Return how much they take out."""
        return sum(size_bytes for _, size_bytes, *_ in _PACKED.iter_unpack(self._packed))

    def clear(self) -> None:
        """Forget all."""
        self._packed.clear()

    def __len__(self) -> int:
        return len(self._packed) // _PACKED.size

    def __iter__(self) -> Iterator[Edit]:
        for start, size_bytes, form, kind, digest in _PACKED.iter_unpack(self._packed):
            yield Edit(start, size_bytes, _FORMS[form], self._kinds[kind], digest.hex())


@dataclass(slots=True)
class Survey:
    """What was found in a file.

    Attributes:
        path: The file.
        stamp: Its state while it was read.
        sha256: Of all of it.
        edits: What can be taken out.
        lines: How many lines it has.
        longest: The bytes of the longest.
        damaged: Where the lines begin that were left alone because they are no sound JSON, at most the first hundred.
        damaged_lines: How many those are.
        count: Edits by what they take out.
        taken: Bytes by what they were.
        left: Bytes of the placeholders.
    """

    path: Path
    stamp: Stamp
    sha256: str = ""
    edits: Edits = field(default_factory=Edits)
    lines: int = 0
    longest: int = 0
    damaged: list[int] = field(default_factory=list)
    damaged_lines: int = 0
    count: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    left: int = 0

    @property
    def size_after(self) -> int:
        """The bytes that the file will have."""
        return self.stamp.size_bytes - sum(self.taken.values()) + self.left


def survey(path: Path, *, max_output_bytes: int = MAX_OUTPUT_BYTES) -> Survey:
    """Look through the file at *path* for pictures and for tool output above *max_output_bytes*.

    Raises:
        OSError: It cannot be read.
    """
    found = Survey(path, stamp_of(path))
    digest = _Digest(path)
    with path.open("rb", buffering=0) as file:
        strings = LongStrings(file, glance_bytes=max(max_output_bytes, LONG_BYTES))
        payloads = _Payloads(file.fileno(), max_output_bytes)
        here = Edits()
        for told in strings:
            if isinstance(told, LongString):
                for edit in payloads.in_string(told):
                    here.add(edit)
                continue
            _settle(found, told, here, file)
            here.clear()
    found.lines, found.longest = strings.lines, strings.longest
    found.sha256 = digest.result()
    return found


def _settle(found: Survey, line: LineEnd, edits: Edits, file: BinaryIO) -> None:
    """Take over the edits of a line, now that it is known whether it is sound."""
    if not (line.is_whole and (not len(edits) or _parses_without(line, edits, file.fileno()))):
        found.damaged_lines += 1
        if len(found.damaged) < 100:
            found.damaged.append(line.start)
        return
    for edit in edits:
        found.edits.add(edit)
        found.count[edit.what] += 1
        found.taken[edit.what] += edit.size_bytes
        found.left += len(edit.placeholder)


def _parses_without(line: LineEnd, edits: Edits, descriptor: int) -> bool:
    """Tell whether a line will parse; one that will still be very long is taken at its structure."""
    if line.end - line.start - edits.taken_bytes() > PARSED_BYTES:
        return True
    text = bytearray()
    at = line.start
    for edit in edits:
        text += os.pread(descriptor, edit.start - at, at) + edit.placeholder
        at = edit.start + edit.size_bytes
    return parses(bytes(text + os.pread(descriptor, line.end - at, at)))


class _Digest(threading.Thread):
    """The SHA-256 of a file, computed beside: it takes a processor as long as all the rest."""

    def __init__(self, path: Path) -> None:
        super().__init__(name=f"digest of {path.name}", daemon=True)
        self._path = path
        self._sha256 = ""
        self._error: OSError | None = None
        self.start()

    def run(self) -> None:
        """Read the file."""
        try:
            self._sha256 = digest_of(self._path)
        except OSError as error:
            self._error = error

    def result(self) -> str:
        """Wait for the digest and return it; an error of reading is raised here."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._sha256


class _Payloads:
    """Finds in a long string what can be taken out of it. The string itself is read again, a block at a time."""

    def __init__(self, descriptor: int, max_output_bytes: int) -> None:
        self._descriptor, self._max_output_bytes = descriptor, max_output_bytes
        self._block = bytearray(BLOCK_BYTES)
        self._view = memoryview(self._block)

    def in_string(self, string: LongString) -> Iterator[Edit]:
        start, end = string.start, string.end
        head = os.pread(self._descriptor, min(_HEADER_BYTES, end - start), start)
        is_url = _HEADER.match(head) is not None
        if not is_url and string.key == _BARE_IMAGES.get(string.type):
            stop, sha256 = self._run(start, start, end)
            if stop == end:
                yield Edit(start, end - start, "image_data", "image", sha256)
                return
        if not is_url and string.is_output and end - start > self._max_output_bytes:
            yield Edit(start, end - start, "text", TOOL_OUTPUT, self._hash(start, end))
            return
        yield from self._urls(start, end)

    def _urls(self, start: int, end: int) -> Iterator[Edit]:
        at = start
        while (url := self._find(at, end)) >= 0:
            header = _HEADER.match(os.pread(self._descriptor, min(_HEADER_BYTES, end - url), url))
            at = url + len(_URL)
            if header is None:
                continue
            stop, sha256 = self._run(url, url + header.end(), end)
            if stop - url >= LONG_BYTES:
                form: Form = "image_url" if (url, stop) == (start, end) else "text"
                yield Edit(url, stop - url, form, header[1].decode(), sha256)
                at = stop

    def _find(self, at: int, end: int) -> int:
        """Return where a URL of a picture begins between *at* and *end*, -1 if there is none."""
        while at < end:
            count = self._read(at, end)
            found = self._block.find(_URL, 0, count)
            if found >= 0:
                return at + found
            # It may begin in this block and end in the next.
            at += max(count - len(_URL) + 1, 1)
        return -1

    def _run(self, start: int, at: int, end: int) -> tuple[int, str]:
        """Return how far base64 goes on from *at*, and the SHA-256 of all from *start* to there."""
        digest = hashlib.sha256(os.pread(self._descriptor, at - start, start))
        while at < end:
            count = self._read(at, end)
            block = self._view[:count]
            # Nearly every block is base64 and nothing else; this tells so at 4 GB/s, a pattern at 1.2.
            if (self._block if count == BLOCK_BYTES else self._block[:count]).translate(None, _ALPHABET):
                part = _RUN.match(block)
                count = part.end() if part is not None else 0
                digest.update(block[:count])
                return at + count, digest.hexdigest()
            digest.update(block)
            at += count
        return end, digest.hexdigest()

    def _hash(self, at: int, end: int) -> str:
        digest = hashlib.sha256()
        while at < end:
            count = self._read(at, end)
            digest.update(self._view[:count])
            at += count
        return digest.hexdigest()

    def _read(self, at: int, end: int) -> int:
        """Fill the block from *at* and return how much of it is filled."""
        count = os.preadv(self._descriptor, [self._view[: min(BLOCK_BYTES, end - at)]], at)
        if not count:
            raise OSError(f"the file ended at {at} while it was read")
        return count
