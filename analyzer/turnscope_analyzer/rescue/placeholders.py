"""What stands in the place of what was taken out: it says what that was, how large, and its SHA-256.

A picture becomes a picture: a request in which an `input_image` is no image any more is refused as a whole, and one
in which it is missing is another conversation. The grey square has 32 pixels a side because some models refuse less
than 10, and costs no more than one with a single pixel. What it stands for is told in a comment of the file.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from functools import cache
from typing import Final, Literal

Form = Literal["image_url", "image_data", "text"]
"""A whole ``data:`` URL, a whole field of base64, or a piece of text."""

OWN: Final = "turnscope rescue"
_SIDE: Final = 32
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def placeholder(form: Form, what: str, size_bytes: int, sha256: str) -> bytes:
    """Return what stands for *size_bytes* of *what*; it can stand in a JSON string as it is."""
    said = f"{OWN}: {what}, {size_bytes} bytes, sha256 {sha256}"
    if form == "text":
        return f"[{said}]".encode()
    return (b"data:image/png;base64," if form == "image_url" else b"") + b64encode(_picture(said))


def _picture(comment: str) -> bytes:
    """Return a grey square as a PNG that says *comment*."""
    text = b"Comment\0" + comment.encode("latin-1", "replace")
    return b"".join((_SIGNATURE, _header(), _chunk(b"tEXt", text), _square(), _chunk(b"IEND", b"")))


@cache
def _header() -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", _SIDE, _SIDE, 1, 0, 0, 0, 0))


@cache
def _square() -> bytes:
    # One bit a pixel, black and white by turns; each row begins with the number of its filter, none.
    rows = b"".join(b"\0" + (b"\xaa" if row % 2 else b"\x55") * (_SIDE // 8) for row in range(_SIDE))
    return _chunk(b"IDAT", zlib.compress(rows, 9))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
