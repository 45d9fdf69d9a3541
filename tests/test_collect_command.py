"""The command: what it says, how it ends, and that a kill loses nothing that was answered."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner

from collect_kit import ANY_PORT, JSON, ask_at, collecting, span, spans_in, traces
from collector_kit import wait_until
from helpers import run_python
from turnscope_analyzer.cli import main
from turnscope_analyzer.collect import command, guide
from turnscope_analyzer.collect.addresses import Address, parse_address
from turnscope_analyzer.collect.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token-of-some-length"


class Running(NamedTuple):
    """The command in a process of its own, and its port for HTTP."""

    process: subprocess.Popen[str]
    port: int
    said: list[str]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    program = "import sys; from turnscope_analyzer.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "collect", str(folder), "--bind", "127.0.0.1:0", "--grpc", "off", *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said: list[str] = []
        assert process.stdout is not None
        while not said or "OTEL_EXPORTER_OTLP_ENDPOINT" not in said[-1]:
            line = process.stdout.readline()
            assert line, said
            said.append(line)
        yield Running(process, int(said[-1].rpartition(":")[2]), said)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_at_the_end_what_it_kept(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "kept") as run:
        assert ask_at(run.port, traces(span(1), span(2))).status == 200
        run.process.send_signal(number)
        assert run.process.stdout is not None
        output = run.process.stdout.read()
        run.process.wait(20)

    assert run.process.returncode == 0
    assert f"analyze {tmp_path / 'kept'}" in run.said[0]
    assert f'endpoint = "http://127.0.0.1:{run.port}/v1/logs"' in output
    assert output.endswith(f"kept 2 spans and 0 log records of 1 request in {tmp_path / 'kept'}\n")


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    answered: list[int] = []
    with running(tmp_path) as run:

        def send(first: int) -> None:
            for number in range(first, first + 100_000):
                try:
                    taken = ask_at(run.port, traces(span(number))).status == 200
                except (OSError, HTTPException):
                    return
                if taken:
                    answered.append(number)

        senders = [threading.Thread(target=send, args=(1 + sender * 1_000_000,)) for sender in range(4)]
        for sender in senders:
            sender.start()
        assert wait_until(lambda: len(answered) > 300)
        run.process.kill()
        for sender in senders:
            sender.join(30)

    ids = {one["spanId"] for one in spans_in(tmp_path)}
    assert {f"{number:016x}" for number in answered} <= ids
    assert len(ids) <= len(answered) + len(senders)

    with running(tmp_path) as again:
        assert ask_at(again.port, traces(span(7_000_000))).status == 200
    assert len(spans_in(tmp_path)) == len(ids) + 1


def test_the_token_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSCOPE_COLLECT_TOKEN", TOKEN)
    with running(tmp_path) as run:
        without = ask_at(run.port, traces(span()))
        given = ask_at(run.port, traces(span()), JSON | {"authorization": f"Bearer {TOKEN}"})

    assert (without.status, given.status) == (401, 200)
    assert TOKEN not in "".join(run.said)


def failed(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["collect", *arguments])
    assert done.exit_code in {1, 2}
    return done.output


def test_other_machines_need_a_token(tmp_path: Path) -> None:
    said = failed(str(tmp_path / "kept"), "--bind", "0.0.0.0:0")

    assert "0.0.0.0:0 can be reached from other machines" in said
    assert "TURNSCOPE_COLLECT_TOKEN" in said
    assert not (tmp_path / "kept").exists()
    assert "can be reached" in failed(str(tmp_path), "--grpc", "[::]:4317")
    assert "can be reached" in failed(str(tmp_path), "--bind", "gateway.example:4318", "--token", "")
    command._check(options(http=Address("0.0.0.0", 4318), token=TOKEN))


@pytest.mark.parametrize("token", ["short", "with-an-ümlaut-in-it", "line\nfeed-and-more-of-it"])
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_none(tmp_path: Path, token: str) -> None:
    assert "16 or more characters" in failed(str(tmp_path), "--token", token)


def options(**changed: Any) -> Options:
    return Options(**{"http": ANY_PORT, "grpc": None, **changed})


def test_a_second_collector_is_told_of_the_first(tmp_path: Path) -> None:
    with collecting(tmp_path / "kept") as first:
        folder = failed(str(tmp_path / "kept"), "--bind", "127.0.0.1:0", "--grpc", "off")
        port = failed(str(tmp_path / "other"), "--bind", str(first.http), "--grpc", "off")

    assert f"process {os.getpid()} collects into {tmp_path / 'kept'} already" in folder
    assert f"cannot listen on {first.http}" in port


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    said = failed(str(tmp_path / "file" / "kept"), "--bind", "127.0.0.1:0", "--grpc", "off")

    assert f"cannot write into {tmp_path / 'file' / 'kept'}: Not a directory." in said


def test_without_the_extra_it_says_which_one(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['uvicorn'] = None\n"
        "from turnscope_analyzer.cli import main\n"
        "main(['collect', 'kept', '--bind', '127.0.0.1:0', '--grpc', 'off'])\n"
    )

    done = run_python(program, tmp_path)

    assert done.returncode == 1
    assert "pip install 'turnscope[collect]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_limits_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    assert "--memory-mib must not be less" in failed(str(tmp_path), "--memory-mib", "1", "--body-mib", "2")


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:4318", ("127.0.0.1", 4318), True),
        ("127.9.9.9:0", ("127.9.9.9", 0), True),
        ("localhost:1", ("localhost", 1), True),
        ("[::1]:4318", ("::1", 4318), True),
        ("[::]:4318", ("::", 4318), False),
        (":4318", ("0.0.0.0", 4318), False),
        ("10.0.0.1:4318", ("10.0.0.1", 4318), False),
        ("localhost.example:1", ("localhost.example", 1), False),
    ],
)
def test_addresses(text: str, address: tuple[str, int], *, is_loopback: bool) -> None:
    parsed = parse_address(text)

    assert parsed == address
    assert parsed.is_loopback is is_loopback
    assert text.startswith(":") or str(parsed) == text


@pytest.mark.parametrize("text", ["", "4318", "localhost", "localhost:", "::1:4318", "a:65536", "http://a:1", "a:-1"])
def test_what_is_no_address_is_said(tmp_path: Path, text: str) -> None:
    assert "Write HOST:PORT" in failed(str(tmp_path), "--bind", text)


def test_the_beginning_tells_senders_elsewhere_where_to_and_that_they_need_the_token(tmp_path: Path) -> None:
    text = guide.beginning(tmp_path, Address("0.0.0.0", 4318), Address("::", 4317), with_token=True)

    assert "0.0.0.0" not in text
    assert "Bearer%20$TURNSCOPE_COLLECT_TOKEN" in text
    assert len(re.findall(r'headers = \{ authorization = "Bearer the-token" \}', text)) == 3
