"""Damaged files of every kind that can be read: the same kind and number give the same bytes.

The first unit of a sample is the witness: it lies undamaged beside every damaged one, and what is said of its turns
must not change.
"""

from __future__ import annotations

import gzip
import random
import shutil
import sys
from typing import TYPE_CHECKING, Final

from fuzz_samples import SAMPLES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LARGEST_BYTES: Final = 4 << 20
"""A file does not grow beyond this, however often a block of it is doubled."""


class Damage:
    """The sample of one kind, and its damaged units by number."""

    def __init__(self, kind: str, sample: Path) -> None:
        self.kind = kind
        sample.mkdir(parents=True)
        SAMPLES[kind](sample)
        self.witness, *self._units = sorted(sample.iterdir())
        self._contents = [path.read_bytes() for unit in self._units for path in files_of(unit)]

    def batch(self, first: int, end: int, folder: Path) -> set[Path]:
        """Write the damaged units from *first* to before *end*, each in a folder of its own; see `make`."""
        return {self.make(number, folder) for number in range(first, end)}

    def make(self, number: int, folder: Path) -> Path:
        """Write damaged unit *number* into *folder* and return the file that is damaged; the rest of it is whole."""
        chance = random.Random(f"{self.kind} {number}")
        unit = chance.choice(self._units)
        target = folder / str(number) / unit.name
        target.parent.mkdir(parents=True)
        if unit.is_dir():
            shutil.copytree(unit, target)
        else:
            shutil.copy(unit, target)
        path = chance.choice(files_of(target))
        path.write_bytes(self._damaged(path.read_bytes(), chance))
        return path

    def _damaged(self, content: bytes, chance: random.Random) -> bytes:
        packed = chance.random()
        if packed < 0.05:
            content = gzip.compress(content, mtime=0)
        elif packed < 0.1:
            content = zstd.compress(content)
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            chance.choice(WAYS)(damaged, chance, self._contents)
            del damaged[LARGEST_BYTES:]
        return bytes(damaged)


def files_of(unit: Path) -> list[Path]:
    """Return the files of a unit, the one that it is or all below it."""
    return sorted(path for path in unit.rglob("*") if path.is_file()) if unit.is_dir() else [unit]


def _place(content: bytearray, chance: random.Random, longest: int = 4_096) -> slice:
    at = chance.randrange(len(content) + 1)
    return slice(at, at + chance.randrange(1, longest))


def cut(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Take the end away, as a full disk does."""
    del content[chance.randrange(len(content) + 1) :]


def behead(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Take the beginning away, as a rotation does."""
    del content[: chance.randrange(len(content) + 1)]


def remove(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Take a block out."""
    del content[_place(content, chance)]


def double(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Write a block again, at once or elsewhere."""
    block = content[_place(content, chance, 20_000)]
    at = chance.randrange(len(content) + 1)
    content[at:at] = block * chance.choice((1, 1, 5))


def splice(content: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """Write a block of another file over one of this, or between."""
    other = bytearray(chance.choice(others))
    place = _place(content, chance)
    if chance.random() < 0.5:
        place = slice(place.start, place.start)
    content[place] = other[_place(other, chance, 20_000)]


def blank(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Write NUL bytes over a block, as a crash of the host does."""
    place = _place(content, chance)
    content[place] = bytes(len(content[place]))


def flip(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Turn bits over."""
    for _ in range(chance.randrange(1, 20) if content else 0):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def scramble(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Write noise over a few bytes."""
    content[_place(content, chance, 64)] = chance.randbytes(chance.randrange(64))


def swap_lines(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Change the order of the lines, or forget the breaks between some."""
    lines = content.split(b"\n")
    if chance.random() < 0.5:
        chance.shuffle(lines)
    content[:] = chance.choice((b"\n", b"\r\n", b"")).join(lines[:20]) + b"\n".join(lines[20:])


def replace_value(content: bytearray, chance: random.Random, _others: Sequence[bytes]) -> None:
    """Put another value behind some colons: the JSON stays whole, the types do not."""
    for _ in range(chance.randrange(1, 6)):
        at = content.find(b'":', chance.randrange(len(content) + 1)) + 2
        ends = [end for sign in (b",", b"}") if (end := content.find(sign, at)) >= 0]
        if at >= 2 and ends:
            content[at : min(ends)] = chance.choice(VALUES)


VALUES: Final = (
    *(b"null", b"true", b"-1", b"0", b"1e999", b"0.5", b"18446744073709551616", b"9223372036854775807"),
    *(
        b'""',
        b'"x"',
        b'"\\ud800"',
        b'"1970-01-01T00:00:00Z"',
        b'"9999-12-31T23:59:59.999Z"',
        b"[]",
        b"{}",
        b"[[[[{}]]]]",
    ),
)
WAYS: Final = (cut, behead, remove, double, splice, blank, flip, scramble, swap_lines, replace_value)
"""What happens to files; each changes the content in place."""
