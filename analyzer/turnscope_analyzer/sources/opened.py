"""Files as they lie on disk, compressed or not, opened as what they hold."""

from __future__ import annotations

import errno
import gzip
import stat
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

STEP_BYTES: Final = 16_384
"""What is unpacked at once: where the packed data is damaged, no more than this is lost of what came before."""

_GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"

DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
"""What reading a compressed file can raise beside OSError where it is cut short or damaged."""


class DamagedError(OSError):
    """The rest of a file cannot be read: its packed data is damaged or cut off, or the disk fails.

    ``offset`` is where the first line begins that could not be read whole, counted in what the file holds unpacked.
    All that came before was handed over. ``reason`` says why, and nothing of the content.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(errno.EIO, reason, str(path))
        self.offset = offset
        self.reason = reason


def open_plain(path: Path) -> BinaryIO:
    """Open *path* for reading bytes; gzip and zstd are told by content and unpacked on the way.

    Raises:
        OSError: It cannot be opened or read, or is no file but a pipe or a device, which could block for ever. What
            is read later may raise OSError or one of ``DAMAGED``.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    file = path.open("rb", buffering=0)
    try:
        magic = file.read(len(ZSTD))
        if not magic.startswith((_GZIP, ZSTD)):
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
            # In steps: a larger read that meets the damage would lose what came before it.
            while len(head) < HEAD_BYTES and (block := file.read(min(STEP_BYTES, HEAD_BYTES - len(head)))):
                head += block
        except DAMAGED:
            # What came before the damage tells the kind; the reader will say where it is.
            pass
    return bytes(head)


def size_of(path: Path) -> int:
    """Return the bytes of *path* on disk, 0 where that cannot be told."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def unpack_zstd(content: bytes, cap_bytes: int) -> bytes | None:
    """Return what *content*, one zstd frame, holds; None where it is damaged, or holds more than *cap_bytes*."""
    unpacking = zstd.ZstdDecompressor()
    try:
        plain: bytes = unpacking.decompress(content, cap_bytes + 1)
    except zstd.ZstdError:
        return None
    return plain if unpacking.eof and len(plain) <= cap_bytes else None
