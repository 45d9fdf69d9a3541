"""A collector in a process of its own that is told when to fail: `python -m bench.collector PROTOCOL MODE`.

It fails from the beginning and prints its URL. Then it obeys one word a line on stdin: ``heal``, ``fail``, ``count``
(answered by one line of JSON) and the end of the input, which ends it. Of what it takes it keeps the ids alone.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from typing import Any

import orjson

from bench.measure import ROOT


def collector_of(protocol: str) -> Any:
    """Return a collector that counts the ids of the spans that it takes."""
    sys.path.append(str(ROOT / "tests"))
    kit = importlib.import_module("collector_kit")  # the tests' own: it knows every way to fail
    base = kit.HttpCollector if protocol == "http/protobuf" else kit.GrpcCollector

    class Counting(base):  # type: ignore[misc, valid-type]  # the base is looked up at run time
        def __init__(self) -> None:
            super().__init__()
            self.taken: Counter[bytes] = Counter()

        def take(self, request: Any) -> None:
            spans = getattr(request, "resource_spans", ())
            ids = [span.span_id for part in spans for scope in part.scope_spans for span in scope.spans]
            with self._lock:
                self.taken.update(ids)

    return Counting()


def fail(collector: Any, mode: str) -> None:
    """Let it fail from now on: refuse connections, or take requests and never answer."""
    collector.close()
    collector.released.clear()
    # Whoever is connected already stays so when nobody listens any more, and must not be answered either.
    collector.mode = "reset" if mode == "refused" else mode
    if mode != "refused":
        collector.open()


def heal(collector: Any) -> None:
    """Let it work from now on."""
    collector.close()
    collector.mode = "ok"
    collector.open()


def main() -> None:
    """Serve until the input ends."""
    protocol, mode = sys.argv[1:]
    collector = collector_of(protocol)
    fail(collector, mode)
    print(collector.url, flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "heal":
            heal(collector)
        elif word == "fail":
            fail(collector, mode)
        taken = collector.taken.copy()
        print(orjson.dumps({"spans": len(taken), "twice": sum(taken.values()) - len(taken)}).decode(), flush=True)
    collector.close()


if __name__ == "__main__":
    main()
