"""The images that stand in a file as ``data:`` URLs: where, how large, how many different ones; in bounded memory.

Nothing of an image is kept but its place, its length and a short hash of its beginning and length.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.opened import DAMAGED, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START: Final = b"data:image/"
_BLOCK_BYTES: Final = 1 << 20
_PRINT_BYTES: Final = 512
"""Two images that begin alike for so long and are equally long are taken for the same one."""


class Image(NamedTuple):
    """An image: its first byte in what the file holds unpacked, its bytes there, and what tells it from others."""

    offset: int
    length: int
    print: bytes


def images_in(path: Path) -> Iterator[Image]:
    """Yield the images in *path* in the order in which they stand there; an image ends at the next quote.

    What cannot be unpacked ends the file. A URL that is spelt with escapes is not found; no agent writes it so.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with open_plain(path) as file:
        base, kept, inside = 0, b"", None
        while block := _next_block(file):
            text = kept + block
            at = 0
            while True:
                if inside is None:
                    begin = text.find(_START, at)
                    if begin < 0:
                        break
                    inside, at = _Inside(base + begin), begin
                end = text.find(b'"', at)
                inside.take(text, at, end if end >= 0 else len(text))
                if end < 0:
                    break
                yield inside.image()
                inside, at = None, end
            # The beginning of an image may be cut by the end of a block.
            kept = b"" if inside is not None else text[-len(_START) + 1 :]
            base += len(text) - len(kept)
        if inside is not None:
            yield inside.image()


def _next_block(file: object) -> bytes:
    try:
        block: bytes = file.read(_BLOCK_BYTES)  # type: ignore[attr-defined]
    except DAMAGED:
        return b""
    return block


class _Inside:
    """The image that is being read."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._length = 0
        self._begin = b""

    def take(self, text: bytes, start: int, end: int) -> None:
        self._length += end - start
        if len(self._begin) < _PRINT_BYTES:
            self._begin += text[start : min(end, start + _PRINT_BYTES - len(self._begin))]

    def image(self) -> Image:
        told = hashlib.blake2b(self._begin + self._length.to_bytes(8, "big"), digest_size=8)
        return Image(self._offset, self._length, told.digest())
