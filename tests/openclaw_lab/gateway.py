"""A gateway of OpenClaw with a home of its own, and the model that answers it, both on loopback."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

FOLDER: Final = Path(os.environ["TURNSCOPE_OPENCLAW"]).resolve() if os.environ.get("TURNSCOPE_OPENCLAW") else None
"""The npm prefix that holds OpenClaw and the Node.js that it needs; `make lab-openclaw` makes it."""

KEY: Final = "agent:main:main"

_TOKEN: Final = "lab"  # noqa: S105, RUF100 -- of a gateway that lives for a minute on loopback
_READY_S: Final = 120
_ANSWER_S: Final = 90
_STOP_S: Final = 60
_COLOURS: Final = re.compile(r"\x1b\[[\d;]*m")


class Model(http.server.ThreadingHTTPServer):
    """Answers every request with one word, and counts them in ``asked``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Model)
        self.server.asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        said = {"index": 0, "delta": {"role": "assistant", "content": "Done."}}
        chunks: list[dict[str, Any]] = [
            {"choices": [said]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1_200, "completion_tokens": 7, "total_tokens": 1_207}},
        ]
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "mock-1"}
        lines = [*(json.dumps(head | chunk) for chunk in chunks), "[DONE]"]
        body = "".join(f"data: {line}\n\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 -- the name that it has there
        """Say nothing: the tests tell what came."""


class Gateway:
    """One run of the gateway over the state folder in *home*, ready when the context begins."""

    def __init__(self, home: Path, model: Model) -> None:
        self.home = home
        self.state = home / ".openclaw"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.state.mkdir(parents=True, exist_ok=True)
        (home / "work").mkdir(exist_ok=True)
        (self.state / "openclaw.json").write_text(json.dumps(_config(self._port, model.server_port, home / "work")))

    def __enter__(self) -> Self:
        log_path = self.home / "console.log"
        log_path.touch()
        self._begin = len(_COLOURS.sub("", log_path.read_text("utf-8", "replace")))
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*_program(), "gateway", "run", "--port", str(self._port)],
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), "NO_PROXY": "127.0.0.1"},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_for("[gateway] ready")
        return self

    def wait_for(self, words: str) -> None:
        """Wait until the gateway has said *words* since it was started."""
        end = time.monotonic() + _READY_S
        while words not in self.said():
            assert self.process.poll() is None, "the gateway has ended; its console.log says why"
            assert time.monotonic() < end, f"the gateway does not say {words}"
            time.sleep(0.2)

    def said(self) -> str:
        """Return what the gateway has said on its console since it was started."""
        return _COLOURS.sub("", (self.home / "console.log").read_text("utf-8", "replace"))[self._begin :]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A stopped process is woken first, or it could not end.
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def send(self, text: str) -> str:
        """Send a message and return the answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/v1/chat/completions",
            data=json.dumps({"model": "openclaw", "messages": [{"role": "user", "content": text}]}).encode(),
            headers={
                "authorization": f"Bearer {_TOKEN}",
                "content-type": "application/json",
                "x-openclaw-session-key": KEY,
            },
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as response:
            content = json.load(response)
        return str(content["choices"][0]["message"]["content"])


def _program() -> list[str]:
    assert FOLDER is not None
    modules = FOLDER / "node_modules"
    return [str(modules / "node" / "bin" / "node"), str(modules / "openclaw" / "openclaw.mjs")]


def _config(port: int, model_port: int, work: Path) -> dict[str, Any]:
    model = {
        "id": "mock-1",
        "name": "mock",
        "reasoning": False,
        "input": ["text"],
        "cost": dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0),
        "contextWindow": 128_000,
        "maxTokens": 2_048,
    }
    provider = {
        "baseUrl": f"http://127.0.0.1:{model_port}/v1",
        "apiKey": "none",
        "api": "openai-completions",
        "models": [model],
    }
    return {
        "gateway": {
            "mode": "local",
            "port": port,
            "bind": "loopback",
            "auth": {"mode": "token", "token": _TOKEN},
            "controlUi": {"enabled": False},
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
        },
        "models": {"mode": "replace", "providers": {"mock": provider}},
        "agents": {
            "defaults": {
                "model": {"primary": "mock/mock-1"},
                "workspace": str(work),
                "skipBootstrap": True,
                "heartbeat": {"every": "0m"},
            }
        },
        "update": {"checkOnStart": False},
    }
