from __future__ import annotations

import enum
import http
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import turnscope
from turnscope import testing
from turnscope.redact import Redactor

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"

SECRETS = [
    ("bearer", "Bearer abcdefghijklmnop1234"),
    ("api_key", "sk-proj-abcdefghijklmnop"),
    ("api_key", "sk_live_abcdefghijkl"),
    ("github_token", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ("github_token", "github_pat_11ABCDEFG0abcdefghijkl"),
    ("aws_key", "AKIAIOSFODNN7EXAMPLE"),
    ("slack_token", "xoxb-123456789012-abcdef"),
    ("jwt", JWT),
    ("private_key", KEY),
    ("secret", "password=hunter2!"),
    ("secret", "token: abcd1234"),
    ("secret", "api_key='abcd1234"),
    ("url_password", "joe:hunter2"),
    ("data_url", "data:image/png;base64,iVBORw0KGgo="),
    ("base64", "QUJD" * 50),
]

HARMLESS = [
    "gpt-5-codex",
    "call_7f3a9b",
    "max_tokens=4096",
    "desk-lamp-and-task-force-behaviour",
    "data: {json}",
    "basic authentication",
    "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    "a monkey: bananas",
    "https://example.org:8080/v1/responses",
    "src/turnscope/redact.py",
]


def redactor() -> tuple[Redactor, Counter[str]]:
    drops: Counter[str] = Counter()
    return Redactor(lambda reason: drops.update([reason])), drops


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
def test_what_looks_like_a_credential_gives_way_to_a_placeholder(kind: str, secret: str) -> None:
    redact, drops = redactor()
    before = "https://" if kind == "url_password" else "before "
    after = "@host" if kind == "url_password" else " after"

    safe = redact.text(f"{before}{secret}{after}")

    assert safe.startswith(f"{before}<{kind} of {len(secret)}"[:18])
    assert "sha256" in safe
    assert safe.endswith(after)
    assert secret not in safe
    assert drops == {"redacted": 1}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_passes_as_it_is(text: str) -> None:
    redact, drops = redactor()

    assert redact.text(text) == text
    assert drops == {}


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
def test_no_credential_reaches_the_journal_wherever_it_is_put(kind: str, secret: str) -> None:
    secret = f"https://{secret}@host" if kind == "url_password" else secret
    core = secret.encode()[10:30]
    named: dict[str, Any] = {secret: 1}
    with testing.recorder() as recording:  # noqa: SIM117 - read below, when the turn is over
        with turnscope.turn(secret, turn_id=secret, prompt=secret, note=secret, **named) as turn:
            turn.mark("tool_call", secret, name=secret)
            with turn.tool(secret, call_id=secret) as tool, turn.renderer(secret), turn.upstream(model=secret) as up:
                up.event(secret)
                tool.result(detail=[secret], more={secret: secret}, raw=secret.encode())
            with turnscope.cancel(secret):
                pass
            turn.fail(secret)

    assert core not in b"".join(recording.journal.lines)
    assert recording.phases()[-1] == "failed"
    assert "guard" not in recording.journal.drops


def test_a_value_whose_name_says_secret_is_replaced_whatever_it_is() -> None:
    redact, drops = redactor()

    safe = redact.attributes({"api_key": "abc", "cookie": "a=b", "access_token": "xyz", "tokens": 5, "token": 7})

    assert [str(value)[:8] for value in safe.values()] == ["<secret ", "<secret ", "<secret ", "5", "7"]
    assert drops == {"redacted": 3}
    assert "api_key" not in redact.names


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"payload", "<bytes of 7>"),
        ([1, 2], "<list of 2>"),
        ({"a": 1}, "<dict of 1>"),
        ({1}, "<set of 1>"),
        (object(), "<object>"),
        (http.HTTPStatus.OK, 200),
        (enum.Enum("E", {"A": "a"}, type=str).A, "a"),  # type: ignore[attr-defined] # made here
        (2**70, "<int of 71 bits>"),
        (True, True),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_a_value_is_kept_as_a_string_or_a_number_or_reduced_to_its_kind_and_size(value: object, kept: object) -> None:
    redact, _ = redactor()

    safe = redact.attributes({"value": value})

    assert safe == {"value": kept}
    assert type(safe["value"]) in {str, int, float, bool, type(None)}


def test_strings_are_capped_and_ids_shorter() -> None:
    redact, drops = redactor()

    assert redact.text("word " * 100) == ("word " * 100)[:255] + "…"
    assert len(redact.identifier("id " * 100)) == 128
    assert drops == {"capped": 2}


def test_a_credential_that_lies_across_the_cut_is_not_left_in_part() -> None:
    redact, _ = redactor()

    safe = redact.text("x " * 120 + "sk-" + "abcdefgh" * 40)

    assert len(safe) <= 256
    assert "sk-" not in safe


def test_a_payload_costs_no_more_than_its_head_and_says_how_long_it_was() -> None:
    redact, _ = redactor()
    payload = "data:image/png;base64," + "A" * 5_000_000

    assert redact.text(payload).startswith(f"<data_url of {len(payload)} chars, sha256 ")


def test_ids_may_be_numbers_and_uuids() -> None:
    redact, _ = redactor()
    one = uuid.UUID(int=1)

    assert [redact.identifier(value) for value in (7, one, None, [1])] == ["7", str(one), "", "<list of 1>"]


def test_what_has_passed_is_remembered_in_bounds() -> None:
    redact, _ = redactor()

    for number in range(10_000):
        redact.attributes({f"name{number}": f"value{number}"})

    assert len(redact.passed) <= 4096
    assert len(redact.names) <= 4096


@given(
    st.dictionaries(st.text(max_size=300), st.one_of(st.text(), st.binary(), st.integers(), st.floats()), max_size=5)
)
def test_any_attributes_give_a_line_that_can_be_read(attrs: dict[str, Any]) -> None:
    with testing.recorder() as recording:
        turn = turnscope.accept("s")
        turn.record("started", None, attrs)

    assert recording.phases() == ["accepted", "started"]


@given(st.text(st.characters(), max_size=2000))
def test_any_text_becomes_short_text_that_can_be_encoded(text: str) -> None:
    redact, _ = redactor()

    safe = redact.text(text)

    assert len(safe) <= 256
    safe.encode()
    assert redact.text(safe) is safe or len(safe) <= 256
