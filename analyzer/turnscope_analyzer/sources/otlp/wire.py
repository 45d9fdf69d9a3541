"""Protobuf as it lies on the wire, without a schema: enough to tell what a message is, also where it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Signal = Literal["traces", "logs", "metrics"]

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_ENVELOPE: Final = frozenset({1, 2, 3, 1000})
"""The fields of what lies around a record: its resource or scope, the records, the schema's URL, and a retired one."""


class Field(NamedTuple):
    """A field of a message: its number, its wire type, and where in the data its value lies."""

    number: int
    wire_type: int
    start: int
    end: int


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yield the fields between *start* and *end*; the last one is clipped where the data is cut.

    Raises:
        ValueError: Something that is no protobuf. The fields before it were given.
    """
    limit = len(data) if end is None else end
    at = start
    while at < limit:
        tag, at = varint(data, at, limit)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            after = varint(data, at, limit)[1]
        elif wire_type == FIXED64:
            after = at + 8
        elif wire_type == LENGTH:
            size, at = varint(data, at, limit)
            after = at + size
        elif wire_type == FIXED32:
            after = at + 4
        else:
            raise ValueError("no protobuf")
        if number == 0:
            raise ValueError("no protobuf")
        yield Field(number, wire_type, min(at, limit), min(after, limit))
        at = after


def varint(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Return the variable-length integer at *at*, and where it ends.

    Raises:
        ValueError: It is cut, or longer than 64 bits.
    """
    value = 0
    for shift in range(0, 64, 7):
        if at >= limit:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("cut off")


def signal_of(data: bytes) -> Signal | None:
    """Tell what an export request, or the begin of one, holds; None where it is none or holds no record.

    The three requests have the same envelope on the wire: they are told by the fields of their first record.
    """
    try:
        for resource in _below(data, Field(0, LENGTH, 0, len(data)), (1,), frozenset({1})):
            for scope in _below(data, resource, (2, 1000), _ENVELOPE):
                for record in _below(data, scope, (2,), _ENVELOPE):
                    if (signal := _signal_of_record(data, record)) is not None:
                        return signal
    except ValueError:
        return None
    return None


def _below(data: bytes, outer: Field, wanted: tuple[int, ...], known: frozenset[int]) -> Iterator[Field]:
    for field in fields(data, outer.start, outer.end):
        if field.wire_type != LENGTH or field.number not in known:
            raise ValueError("no export request")
        if field.number in wanted:
            yield field


def _signal_of_record(data: bytes, record: Field) -> Signal | None:
    shape: set[tuple[int, int]] = set()
    try:
        for field in fields(data, record.start, record.end):
            shape.add((field.number, field.wire_type))
    except ValueError:
        # Cut in the middle: the first fields tell.
        pass
    if (7, FIXED64) in shape:
        return "traces"
    if (1, FIXED64) in shape or (11, FIXED64) in shape:
        return "logs"
    return "metrics" if (1, LENGTH) in shape and shape & {(number, LENGTH) for number in (5, 7, 9, 10, 11)} else None
