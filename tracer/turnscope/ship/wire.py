"""The wire format of protobuf, as far as OTLP needs it: bytes that are joined once, and no message objects.

Numbers are not negative, except where it says so. What comes again and again, an attribute and its value, is encoded
once.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN_LENGTHS: Final = 4096
_MASK: Final = (1 << 64) - 1
_double: Final = struct.Struct("<d").pack


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_LENGTHS: Final = tuple(map(_varint, range(_KNOWN_LENGTHS)))


def varint(number: int) -> bytes:
    """Return *number*, less than 2**64, seven bits a byte."""
    return _LENGTHS[number] if number < _KNOWN_LENGTHS else _varint(number)


def tag(field: int, kind: int) -> bytes:
    """Return what stands before the value of a field: *kind* is 0 varint, 1 eight bytes, 2 sized, 5 four bytes."""
    return _varint(field << 3 | kind)


def sized(before: bytes, *parts: bytes) -> bytes:
    """Return a message, a string or bytes with its tag *before* it."""
    return b"".join((before, varint(sum(map(len, parts))), *parts))


def text(before: bytes, value: str) -> bytes:
    """Return a string with its tag *before* it; what UTF-8 has no room for becomes a question mark."""
    encoded = value.encode("utf-8", "replace")
    return b"".join((before, varint(len(encoded)), encoded))


def pairs(before: bytes, attributes: Mapping[str, object]) -> bytes:
    """Return attributes, each as a KeyValue with the tag *before* it."""
    return before.join((b"", *map(_pair, attributes, attributes.values()))) if attributes else b""


# By type, too: 1, 1.0 and True are equal, and three different values.
@lru_cache(maxsize=1024, typed=True)
def _pair(name: str, value: object) -> bytes:
    """Return a KeyValue with its size, but without its tag: it stands below different ones."""
    key, below = _key(name), _value(value)
    size = len(below)
    middle = b"\x12" + varint(size)
    return b"".join((varint(len(key) + len(middle) + size), key, middle, below))


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    return text(b"\x0a", name)


def _value(value: object) -> bytes:
    """Return an AnyValue of a string, a truth value, an integer of 64 bits with its sign, a float, or several."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return b"\x18" + varint(value & _MASK)
        value = str(value)  # a process id may be read from anywhere: what does not fit is told as text
    elif isinstance(value, float):
        return b"\x21" + _double(value)
    elif isinstance(value, (list, tuple)):
        return sized(b"\x2a", *(sized(b"\x0a", _value(one)) for one in value))
    return text(b"\x0a", str(value))
