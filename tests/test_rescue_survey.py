"""What of a thread is taken out, what stays, and that nothing else changes: on hand-made and on random files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.threads import large_thread
from rescue_kit import base64_text, differences, old, records, rollout_in, shortened, url, with_item
from turnscope_analyzer.repair.errors import NotVerifiedError
from turnscope_analyzer.repair.undoing import undo
from turnscope_analyzer.rescue import lines, rewrite, strings, survey
from turnscope_analyzer.rescue.placeholders import placeholder
from turnscope_analyzer.rescue.rewrite import Shortening, rebuild
from turnscope_analyzer.rescue.strings import LineEnd, LongString, LongStrings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

LIMIT = survey.MAX_OUTPUT_BYTES
NOTE = re.compile(r"\[turnscope rescue: ([\w/ +.-]+), (\d+) bytes, sha256 ([0-9a-f]{64})\]")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return rollout_in(tmp_path / "home")


def changed(path: Path, **options: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Shorten the file and return what differs in it, by place in the third record."""
    before = records(path)
    shortened(path, path.parents[4] / "backups", **options)
    return list(differences(before[2], records(path)[2]))


def says(picture: str) -> str:
    """Return what the comment of a PNG in base64 says, after a look at its checksums."""
    content = b64decode(picture, validate=True)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at, comment = 8, ""
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        name, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", content, at + 8 + length) == (zlib.crc32(name + body),)
        if name == b"tEXt":
            comment = body.partition(b"\0")[2].decode()
        at += 12 + length
    return comment


def test_a_picture_becomes_a_picture_that_says_what_it_stands_for(path: Path) -> None:
    picture = url(5_000, kind="jpeg")
    item = {"type": "input_image", "image_url": picture, "detail": "high"}
    with_item(path, type="message", role="user", content=[{"type": "input_text", "text": "this"}, item])

    [(place, stands_for)] = changed(path)

    assert place == ("payload", "content", 1, "image_url")
    sha256 = hashlib.sha256(picture.encode()).hexdigest()
    kind, _, content = stands_for.partition(",")
    assert kind == "data:image/png;base64"
    assert says(content) == f"turnscope rescue: image/jpeg, {len(picture)} bytes, sha256 {sha256}"


@pytest.mark.parametrize("end", [")", '\\"}', " and so on", "\n"])
@pytest.mark.parametrize("start", ["![shot](", '{\\"image\\": \\"', ""])
def test_a_picture_within_a_text_becomes_a_note_and_the_text_around_it_stays(path: Path, start: str, end: str) -> None:
    picture = url(5_000)
    with_item(path, type="message", role="user", content=[{"type": "input_text", "text": f"{start}{picture}{end}"}])

    [(_, text)] = changed(path)

    found = NOTE.search(text)
    assert found is not None
    assert text == f"{start}{found[0]}{end}"
    assert found.groups() == ("image/png", str(len(picture)), hashlib.sha256(picture.encode()).hexdigest())


def test_several_pictures_in_one_text_are_all_found(path: Path) -> None:
    text = f"one {url(5_000, 1)} two {url(300_000, 2)} data:image/png;base64,short data:image/ {url(5_000, 1)}"
    with_item(path, type="message", role="user", content=text)

    [(_, after)] = changed(path)

    assert NOTE.sub("*", after) == "one * two * data:image/png;base64,short data:image/ *"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": base64_text(5_000)},
        {"type": "mcp_tool_call_end", "result": {"Ok": {"content": [{"type": "image", "data": base64_text(5_000)}]}}},
    ],
    ids=lambda item: item["type"],
)
def test_a_picture_without_a_url_stays_one_without(path: Path, item: dict[str, Any]) -> None:
    with_item(path, **item)

    [(_, stands_for)] = changed(path)

    assert says(stands_for).startswith(f"turnscope rescue: image, {len(base64_text(5_000))} bytes, sha256 ")


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"type": "function_call_output", "call_id": "c", "output": "*"}, ("output",)),
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "*"}, ("output",)),
        (
            {"type": "function_call_output", "output": [{"type": "input_text", "text": "*"}]},
            ("output", 0, "text"),
        ),
        ({"type": "function_call_output", "output": {"content": "*", "success": True}}, ("output", "content")),
        (
            {"type": "item_completed", "item": {"type": "CommandExecution", "aggregated_output": "*", "exit_code": 0}},
            ("item", "aggregated_output"),
        ),
        ({"type": "exec_command_end", "call_id": "c", "stdout": "*", "exit_code": 0}, ("stdout",)),
    ],
    ids=str,
)
def test_tool_output_is_taken_out_above_the_limit_and_stays_at_it(
    path: Path, item: dict[str, Any], place: tuple[str | int, ...]
) -> None:
    def filled(output: str) -> dict[str, Any]:
        full: dict[str, Any] = json.loads(json.dumps(item).replace('"*"', json.dumps(output)))
        return full

    with_item(path, **filled("y" * LIMIT))
    assert changed(path) == []
    output = "z" * (LIMIT - 1) + "\n"
    with_item(path, **filled(output))

    [(where, text)] = changed(path)

    assert where == ("payload", *place)
    said = ("tool output", str(LIMIT + 1), hashlib.sha256(output.replace("\n", "\\n").encode()).hexdigest())
    assert (NOTE.fullmatch(text) or [""])[0] == text
    assert NOTE.findall(text) == [said]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "y" * LIMIT * 2}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "y" * LIMIT * 2}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "g" + "A" * LIMIT * 2},
        {"type": "function_call", "name": "f", "call_id": "c", "arguments": "y" * LIMIT * 2},
        {"type": "function_call_output", "output": [{"type": "sealed", "encrypted_content": "A" * LIMIT * 2}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url(500)}]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "https://a/" + "b" * 5_000}],
        },
    ],
    ids=lambda item: item["type"],
)
def test_what_was_said_and_what_is_sealed_stays(path: Path, item: dict[str, Any]) -> None:
    with_item(path, **item)

    assert changed(path) == []


def test_the_limit_can_be_set(path: Path) -> None:
    with_item(path, type="function_call_output", call_id="c", output="y" * 3_000)

    assert len(changed(path, max_output_bytes=2_000)) == 1


def test_damaged_lines_stay_as_they_are_and_are_counted(path: Path) -> None:
    item = b'{"timestamp":"t","type":"response_item","payload":{"type":"message","content":"%s"}}'
    sound, torn = item % url(5_000).encode(), item % url(5_000, 1).encode()[:4_000]
    bad = [
        torn[:-30],  # a writer was killed
        torn[:-30] + sound,  # and the next one went on behind it
        sound.replace(b'"}}', b'"}'),
        sound + sound,
        b"\0" * 2_000 + sound,
        sound.replace(b'"type":"message"', b'"type":"message\x07" "'),
    ]
    path.write_bytes(b"\n".join([sound, *bad, sound]) + b"\r\n")

    found, _ = shortened(old(path), path.parents[4] / "backups")

    after = path.read_bytes().split(b"\n")
    assert after[1:-2] == bad
    assert found.damaged_lines == len(bad)
    assert found.damaged[0] == len(sound) + 1
    assert [url(5_000).encode() in line for line in (after[0], after[-2])] == [False, False]
    assert after[-2].endswith(b"}}\r")


def test_a_line_that_would_not_parse_for_other_reasons_stays(path: Path) -> None:
    content = b'{"content":"%s","bad":"\\x"}\n' % url(5_000).encode()
    path.write_bytes(content)

    assert (survey.survey(path).damaged_lines, len(survey.survey(path).edits)) == (1, 0)


def test_half_a_surrogate_pair_is_no_reason_to_leave_a_line(path: Path) -> None:
    path.write_bytes(b'{"content":"%s","half":"\\ud83d"}\n' % url(5_000).encode())

    assert len(survey.survey(path).edits) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n{}\n", b'{"a":1}', b"\0" * 70_000, b"[" * 100_000, b'"' * 9_999])
def test_strange_files_are_read_to_their_end(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    found = survey.survey(path)

    assert (len(found.edits), found.lines) == (0, content.count(b"\n") + (not content.endswith(b"\n")) * bool(content))
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_a_second_time_there_is_nothing_left(path: Path) -> None:
    with_item(path, type="message", role="user", content=[{"type": "input_image", "image_url": url(50_000)}])
    shortened(path, path.parents[4] / "backups")

    assert len(survey.survey(path).edits) == 0


def test_a_large_thread_loses_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    large_thread(tmp_path / "home", turns=20, image_bytes=60_000)
    [path] = (tmp_path / "home").rglob("*.jsonl")
    content, before = path.read_bytes(), records(old(path))

    found, folder = shortened(path, tmp_path / "backups")

    urls = content.count(b"data:image/png;base64,")
    assert found.count == {"image/png": urls}
    assert path.stat().st_size == found.size_after < len(content) - urls * 59_000
    differing = [
        place for one, other in zip(before, records(path), strict=True) for place, _ in differences(one, other)
    ]
    assert len(differing) == urls
    assert {place[-1] for place in differing} <= {"image_url", 0}
    assert len(list((folder / "0-aside").iterdir())) == 1 + len(set(re.findall(rb"data:image/[^\"]+", content)))
    (folder / "0").unlink()
    undo(folder, rebuild=rebuild)
    assert path.read_bytes() == content


# Random files, with limits so small that every rule and every edge of a block is met.

ALPHABET = "ABab09+/="
TEXT = st.text(st.sampled_from([*'ab"\\\n\t/:,{}[]', "é", "\U0001f600"]), max_size=60)
PAYLOAD = st.text(st.sampled_from(ALPHABET), max_size=80).map("data:image/png;base64,".__add__)
STRING = st.one_of(TEXT, PAYLOAD, st.builds("{}{}{}".format, TEXT, PAYLOAD, TEXT))
NAMES = st.sampled_from(["type", "output", "text", "data", "result", "image_url", "encrypted_content", 'a"b\\'])
TYPES = st.sampled_from(["function_call_output", "image", "message"])
VALUE = st.recursive(
    st.one_of(
        STRING, STRING, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=4),
        st.builds(lambda kind, more: {"type": kind, **more}, TYPES, st.dictionaries(NAMES, inner, max_size=3)),
    ),
    max_leaves=12,
)
# A file that begins like a packed one is refused before it gets here.
TAILS = st.binary(max_size=40).filter(lambda tail: not tail.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))
LINES = st.lists(st.tuples(VALUE, st.booleans()), max_size=6).map(
    lambda drawn: b"".join(json.dumps(value, ensure_ascii=ascii_only).encode() + b"\n" for value, ascii_only in drawn)
)
SMALL = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=[7, 64])
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in blocks of a few bytes, and call a string long that has ten."""
    for module in (strings, survey, rewrite):
        monkeypatch.setattr(module, "BLOCK_BYTES", request.param)
    for module in (strings, survey):
        monkeypatch.setattr(module, "LONG_BYTES", 10)
    monkeypatch.setattr(strings, "_HELD_BYTES", 12)
    monkeypatch.setattr(rewrite, "PARSED_BYTES", 64)


def strings_in(text: bytes) -> Iterator[str]:
    """Yield every string value of a line as it stands there, in order, by a parser that knows nothing of ours."""
    for found in re.finditer(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', text):
        if not found[2]:
            yield found[1].decode()


@SMALL
@given(content=LINES)
def test_every_long_value_is_told_whatever_the_size_of_the_blocks(tmp_path: Path, tiny: None, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb", buffering=0) as file:
        told = list(LongStrings(file, glance_bytes=0))

    spans = [content[one.start : one.end].decode() for one in told if isinstance(one, LongString)]
    values = [text for line in content.splitlines() if line[:1] in b"{[" for text in strings_in(line)]
    assert spans == [text for text in values if len(text.encode()) >= 10]
    assert [one.is_whole for one in told if isinstance(one, LineEnd)] == [
        line[:1] in b"{[" for line in content.splitlines()
    ]


@SMALL
@given(content=LINES, limit=st.integers(10, 60), tail=TAILS)
def test_what_is_taken_out_comes_back_and_nothing_else_ever_changes(
    tmp_path: Path, tiny: None, content: bytes, limit: int, tail: bytes
) -> None:
    path, new = tmp_path / "file", tmp_path / "new"
    path.write_bytes(content + tail)
    found = survey.survey(path, max_output_bytes=limit)
    work = Shortening(found)

    aside = Pieces()
    with path.open("rb") as one, new.open("wb") as other:
        work.make(one, other, aside)  # type: ignore[arg-type]
    with path.open("rb") as one, new.open("rb") as other:
        work.check(one, other)

    after = new.read_bytes()
    assert (len(after), after.endswith(tail)) == (found.size_after, True)
    for before_line, line in zip(content.splitlines(), after.splitlines(), strict=False):
        for _, text in differences(json.loads(before_line), json.loads(line)):
            assert NOTE.search(text) or "iVBOR" in text
    restored = BytesIO()
    with new.open("rb") as one:
        rebuild(one, len(after), aside.written(tmp_path / "aside"), restored)
    assert restored.getvalue() == content + tail


class Pieces:
    """Keeps in memory what is put aside: a disk that is asked for each example to be safe is slow."""

    def __init__(self) -> None:
        self._pieces: dict[str, bytes] = {}

    def copy(self, name: str, source: BinaryIO, at: int, size_bytes: int) -> None:
        self.write(name, os.pread(source.fileno(), size_bytes, at))

    def write(self, name: str, content: bytes | bytearray) -> None:
        assert name not in self._pieces
        self._pieces[name] = bytes(content)

    def written(self, folder: Path) -> Path:
        """Write all of it into *folder*."""
        folder.mkdir(exist_ok=True)
        for name, content in self._pieces.items():
            (folder / name).write_bytes(content)
        return folder


@SMALL
@given(content=LINES, data=st.data())
def test_a_change_of_any_other_byte_is_noticed(tmp_path: Path, tiny: None, content: bytes, data: st.DataObject) -> None:
    path, new = tmp_path / "file", tmp_path / "new"
    path.write_bytes(content)
    work = Shortening(survey.survey(path, max_output_bytes=20))
    with path.open("rb") as one, new.open("wb") as other:
        work.make(one, other, Pieces())  # type: ignore[arg-type]
    made = bytearray(new.read_bytes())
    if made:
        at = data.draw(st.integers(0, len(made) - 1))
        made[at] ^= data.draw(st.integers(1, 255))
        new.write_bytes(made)

    with path.open("rb") as one, new.open("rb") as other:
        if made:
            with pytest.raises(NotVerifiedError):
                work.check(one, other)
        else:
            work.check(one, other)


def test_a_line_too_long_to_be_parsed_is_held_to_its_structure(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, is_sound in [(b'{"a":["%s",1]}' % (b"y" * 5_000), True), (b'{"a":["%s",1}' % (b"y" * 5_000), False)]:
        path.write_bytes(b"before\n" + content + b"\nafter")
        with path.open("rb", buffering=0) as file:
            assert lines.is_sound(lines.Part(file, 7, len(content))) is is_sound


@pytest.mark.parametrize("form", ["image_url", "image_data", "text"])
def test_placeholders_are_small_and_can_stand_in_json(form: Any) -> None:
    stands_for = placeholder(form, "image/svg+xml", 10**12, "f" * 64)

    assert len(stands_for) < 512
    assert json.loads(b'"%s"' % stands_for) == stands_for.decode()
