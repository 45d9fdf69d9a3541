"""Files as they lie on disk, compressed or not, opened as what they hold."""

from __future__ import annotations

import gzip
import sys
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES: Final = 65_536
"""So much of a file is looked at to tell its kind."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"

DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
"""What reading a compressed file can raise beside OSError where it is cut short or damaged."""


def open_plain(path: Path) -> BinaryIO:
    """Open *path* for reading bytes; gzip and zstd are told by content and unpacked on the way.

    Raises:
        OSError: It cannot be opened or read. What is read later may raise OSError or one of ``DAMAGED``.
    """
    file = path.open("rb", buffering=0)
    try:
        magic = file.read(len(_ZSTD))
        if not magic.startswith((_GZIP, _ZSTD)):
            file.seek(0)
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return cast("BinaryIO", gzip.open(path) if magic.startswith(_GZIP) else zstd.open(path))


def head_of(path: Path) -> bytes:
    """Return the first bytes that *path* holds, unpacked; as much as can be read of damaged ones.

    Raises:
        OSError: It cannot be opened or read.
    """
    head = bytearray()
    with open_plain(path) as file:
        try:
            while len(head) < HEAD_BYTES and (block := file.read(HEAD_BYTES - len(head))):
                head += block
        except DAMAGED:
            # What came before the damage tells the kind; the reader will say where it is.
            pass
    return bytes(head)


def unpack_zstd(content: bytes, cap_bytes: int) -> bytes | None:
    """Return what *content*, one zstd frame, holds; None where it is damaged, or holds more than *cap_bytes*."""
    unpacking = zstd.ZstdDecompressor()
    try:
        plain: bytes = unpacking.decompress(content, cap_bytes + 1)
    except zstd.ZstdError:
        return None
    return plain if unpacking.eof and len(plain) <= cap_bytes else None
