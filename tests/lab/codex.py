"""One process of Codex, driven as its clients do: `codex exec --json`, or `codex app-server` over its pipes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.home import Home

Driver = Literal["exec", "app-server"]
Message = dict[str, Any]

PROMPT: Final = "Please do the thing."
PATIENCE_S: Final = 60
"""How long anything may take that is no fault of ours: a busy machine is none."""


class NothingCameError(Exception):
    """Codex did not do in time what the scenario needs; no verdict about such a run would mean anything."""


class _Codex:
    """A process of Codex and what it says on its standard output, one JSON object a line."""

    def __init__(self, program: Path, home: Home, *arguments: str) -> None:
        self.said: list[Message] = []
        self._news = threading.Condition()
        with (home.path.parent / "stderr.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, *arguments],
                cwd=home.project,
                env=home.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name=f"codex {self.process.pid}", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def wait_for(self, is_it: Callable[[Message], bool], what: str, *, since: int = 0) -> Message:
        """Return the first message after the first *since* that *is_it* holds for.

        Raises:
            NothingCameError: It did not come in time, or the process ended without it.
        """
        give_up = time.monotonic() + PATIENCE_S
        with self._news:
            while True:
                gone = not self._reader.is_alive()
                for message in self.said[since:]:
                    if is_it(message):
                        return message
                left_s = give_up - time.monotonic()
                if gone or left_s <= 0:
                    raise NothingCameError(f"no {what} from {self.process.args!r}: {self._last_said()}")
                self._news.wait(min(left_s, 0.5))

    def send(self, sign: signal.Signals) -> None:
        """Send *sign* to the process alone, and wait for its end.

        Raises:
            NothingCameError: It goes on all the same.
        """
        self.process.send_signal(sign)
        self._ended()

    def leave(self) -> None:
        """Close its standard input, as a client does that is done, and wait for its end.

        Raises:
            NothingCameError: It goes on all the same.
        """
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._ended()

    def close(self) -> None:
        """See to it that nothing of it is left, neither the process nor a tool in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._ended()

    def _ended(self) -> None:
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise NothingCameError(f"{self.process.args!r} does not end") from error
        self._reader.join(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _read(self) -> None:
        stdout = self.process.stdout
        for line in stdout or ():
            with contextlib.suppress(ValueError), self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _last_said(self) -> list[str]:
        """Return the kinds of the last messages, without what is in them."""
        return [str(message.get("method") or message.get("type") or "response") for message in self.said[-5:]]


class Exec(_Codex):
    """`codex exec --json` with one prompt; *thread* goes on with an earlier thread."""

    def __init__(self, program: Path, home: Home, thread: str | None = None) -> None:
        resume = ["resume", thread] if thread else []
        super().__init__(program, home, "exec", "--json", "--skip-git-repo-check", *resume, PROMPT)
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.thread: str = self.wait_for(lambda said: said.get("type") == "thread.started", "thread")["thread_id"]

    def wait_for_end(self) -> None:
        """Wait until the turn and with it the process has ended."""
        self._ended()

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.send(signal.SIGINT)


class AppServer(_Codex):
    """`codex app-server` with a thread and one turn in it; *thread* is resumed instead of started."""

    def __init__(self, program: Path, home: Home, thread: str | None = None) -> None:
        super().__init__(program, home, "app-server")
        self._calls = 0
        self.request(
            "initialize",
            clientInfo={"name": "lab", "title": "lab", "version": "0.1.0"},
            capabilities={"experimentalApi": True},
        )
        self._write({"method": "initialized"})
        self.thread = thread or ""
        if thread:
            self.request("thread/resume", threadId=thread)
        else:
            self.next_thread(home)

    def next_thread(self, home: Home) -> None:
        """Start a thread; prompts go to this one from now on."""
        self.thread = self.request("thread/start", cwd=str(home.project))["thread"]["id"]

    def prompt(self, *images: str) -> str:
        """Start a turn, with *images* as ``data:`` URLs, and return its id."""
        content = [{"type": "text", "text": PROMPT}, *({"type": "image", "url": image} for image in images)]
        return str(self.request("turn/start", threadId=self.thread, input=content)["turn"]["id"])

    def compact(self) -> None:
        """Have the thread compacted."""
        self.request("thread/compact/start", threadId=self.thread)

    def request(self, method: str, **params: Any) -> Message:
        """Send a request and return its result.

        Raises:
            NothingCameError: There was no answer, or an error.
        """
        self._calls += 1
        number = self._calls
        since = len(self.said)
        self._write({"id": number, "method": method, "params": params})
        answer = self.wait_for(
            lambda said: said.get("id") == number and "method" not in said, f"answer to {method}", since=since
        )
        if "result" not in answer:
            raise NothingCameError(f"{method} was answered with {answer.get('error')}")
        result: Message = answer["result"]
        return result

    def wait_for_call(self, method: str) -> Message:
        """Return the first message that bears *method*."""
        return self.wait_for(lambda said: said.get("method") == method, method)

    def wait_for_end(self) -> None:
        """Wait until the turn has ended; the process goes on."""
        self.wait_for_call("turn/completed")

    def interrupt(self) -> None:
        """Stop the turn as a client's stop button does."""
        turn = self.wait_for_call("turn/started")["params"]["turn"]["id"]
        self.request("turn/interrupt", threadId=self.thread, turnId=turn)
        self.wait_for_end()

    def _write(self, message: Message) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
