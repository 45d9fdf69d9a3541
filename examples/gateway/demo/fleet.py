"""The demo's processes: each ends by itself after its lifetime, and before that with the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

ROOT: Final = Path(__file__).parents[3]
"""The folder that ``examples`` lies in."""

ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
"""Has a child import from where we do, also where the project is not installed."""

_LIFETIME_S = 110


class Server:
    """A server in a process of its own.

    Attributes:
        said: What its first line said: where it can be reached.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        log: IO[str] | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--lifetime", str(_LIFETIME_S), *arguments],
            cwd=ROOT,
            env={**ENVIRONMENT, **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._reap()
            raise RuntimeError(f"{module} ended with {self._process.returncode} before it could be reached")
        self.said: dict[str, str] = json.loads(line)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.said["url"]

    def kill(self) -> None:
        """End it with SIGKILL: nothing of it gets a chance to tidy up."""
        self._process.kill()
        self._reap()

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


class Fleet:
    """A model server and the gateways that ask it, all on one *journal*.

    Args:
        journal: Where the turns are recorded.
        data: Where the histories are, and the log of the servers.
        budgets: Phase -> seconds until slow, until stuck.
        environment: Variables of the gateways beside our own: where telemetry goes, for one.
    """

    def __init__(
        self,
        journal: Path,
        data: Path,
        budgets: Mapping[str, tuple[float, float]],
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.journal, self._data, self._budgets, self._environment = journal, data, budgets, environment
        self._servers: list[Server] = []

    def gateway(self) -> Server:
        """Start a gateway."""
        return self._start(
            "examples.gateway",
            f"--provider=main={self.model.url}",
            f"--provider=refusing={self.model.said['refusing_url']}",
            f"--data={self._data}",
            f"--journal={self.journal}",
            f"--budgets={json.dumps(dict(self._budgets))}",
            environment=self._environment,
        )

    def __enter__(self) -> Self:
        self.model = self._start("examples.gateway.model_server")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in reversed(self._servers):
            server.stop()

    def _start(self, module: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> Server:
        with (self._data / "servers.log").open("a", encoding="utf-8") as log:
            server = Server(module, *arguments, log=log, environment=environment)
        self._servers.append(server)
        return server
