"""Agents of any framework that follows a convention, as turns: GenAI, OpenInference, OpenLLMetry, the AI SDK."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Capture, Mark, Process
from turnscope_analyzer.sources.otlp.own import SEEN_EVENT
from turnscope_analyzer.sources.otlp.records import Span
from turnscope_analyzer.sources.otlp.roles import begun_request, facts_of, is_pending, session_of
from turnscope_analyzer.sources.otlp.story import story_of
from turnscope_analyzer.sources.otlp.tree import Node, turns_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope_analyzer.sources.otlp.records import Attribute, LogRecord
    from turnscope_analyzer.sources.otlp.tree import Turn

SOURCE: Final = "otlp"
_WHY: Final = "the last record of the same service, which had not sent the span of the turn itself by then"
_OUTLIER_NS: Final = 86_400_000_000_000
"""A record that is so much later than all others of its service has a damaged time."""
_NOT_TOLD: Final = "?"

_BEGINS: Final = frozenset(f"gen_ai.{role}.message" for role in ("system", "user", "assistant", "tool"))
"""Log records that carry the input of a request, written when it is sent, in the context of the model's span."""


class Agents:
    """The dialect of the conventions: the last one that is asked, it takes every span."""

    def __init__(self) -> None:
        self._traces: dict[str, dict[str, Node]] = defaultdict(dict)
        self._services = _Services()
        self._without_trace = 0

    def take(self, record: Span | LogRecord) -> bool:
        """Take every span in, and the log records that a request to a model begins with; of others only the time."""
        service = self._services.see(record)
        if not isinstance(record, Span):
            if record.event == SEEN_EVENT:
                return True
            if record.event not in _BEGINS or not (record.trace_id and record.span_id and record.at_ns):
                return False
            node = _begun(record, service)
        elif record.trace_id:
            node = _node(record, service)
        else:
            self._without_trace += 1
            return True
        self._services.learn(service, node)
        trace = self._traces[record.trace_id]
        known = trace.get(node.span_id)
        # Of two that say as much, always the same one: files may come in any order.
        trace[node.span_id] = node if known is None else max(known, node, key=lambda one: (_worth(one), repr(one)))
        return True

    def captures(self) -> Iterator[Capture]:
        """Give one capture of all turns; spans that belong to none are counted in it."""
        capture = Capture()
        alone = self._without_trace
        processes: dict[str, Process] = {}
        marks: list[Mark] = []
        for trace_id, nodes in sorted(self._traces.items()):
            turns = turns_of(nodes, self._services.with_models)
            # Spans without a role are the plumbing of the turns in their trace.
            alone += 0 if turns else len(nodes)
            for turn in turns:
                turn_id = turn.told_by(_own_id) or (trace_id if len(turns) == 1 else f"{trace_id}:{turn.span_id}")
                process = self._services.process(turn)
                processes[process.process_id] = process
                marks += _marks(turn, turn_id, process)
                if len(turns) == 1 and turn_id != trace_id:
                    capture.names[trace_id] = turn_id
        marks.sort(key=lambda mark: (mark.at_ns, mark.turn_id, mark.seq))
        capture.marks = [mark._replace(seq=seq) for seq, mark in enumerate(marks)]
        capture.processes = list(processes.values())
        if alone:
            capture.left_alone["spans that are no agent's turn"] = alone
        yield capture


class _Services:
    """What is known of each service: how far its records reach, and what it traces."""

    def __init__(self) -> None:
        self.with_models: set[str] = set()
        self._tells_phases: set[str] = set()
        self._last: dict[str, tuple[int, int, str]] = {}
        self._named: tuple[object, str] = (None, "")

    def see(self, record: Span | LogRecord) -> str:
        """Take in that a record's service lived then; return the service's name."""
        # One export request has many records of one resource.
        if self._named[0] is not record.resource:
            self._named = (record.resource, _service_of(record.resource))
        service = self._named[1]
        at_ns = (record.end_ns or record.start_ns) if isinstance(record, Span) else record.at_ns
        last_ns, before_ns, file = self._last.get(service, (0, 0, ""))
        if at_ns > before_ns:
            self._last[service] = (max(at_ns, last_ns), min(at_ns, last_ns), record.file if at_ns > last_ns else file)
        return service

    def learn(self, service: str, node: Node) -> None:
        """Take in what a span shows of how its service is traced."""
        if node.role == "model":
            self.with_models.add(service)
        if node.facts is not None and node.facts.reached:
            self._tells_phases.add(service)

    def process(self, turn: Turn) -> Process:
        """Return the process of a turn; one of which nothing is concluded where its end would not be on file."""
        service = turn.first.service
        last_ns, before_ns, file = self._last[service]
        horizon_ns = before_ns if before_ns and last_ns - before_ns > _OUTLIER_NS else last_ns
        return Process(
            process_id=f"{SOURCE}:{service}" if turn.told else f"{SOURCE}:{service}:untold",
            source=SOURCE,
            fate="unknown",
            horizon_ns=horizon_ns,
            horizon_why=_WHY,
            file=file,
            # A span is sent when it ends: a request is on file once it has come back, its headers never are.
            shows_requests=service in self._tells_phases,
            shows_ends=turn.told,
            detail=1,
        )


def _node(span: Span, service: str) -> Node:
    span_id, parent_id, end_ns = span.span_id, span.parent_id, span.end_ns
    if is_pending(span):
        above = span.attrs.get("logfire.pending_parent_id")
        span_id, end_ns = span.parent_id, None
        parent_id = above if isinstance(above, str) and above.strip("0") else ""
    return Node(
        span_id=span_id,
        parent_id=parent_id,
        start_ns=span.start_ns,
        end_ns=end_ns,
        remote_parent=span.remote_parent,
        service=service,
        session=session_of(span.attrs),
        failed=span.failed,
        file=span.file,
        offset=span.offset,
        facts=facts_of(span),
    )


def _begun(record: LogRecord, service: str) -> Node:
    """Return the model's span that a log record belongs to, which has begun by then; what is above it is not told."""
    return Node(
        span_id=record.span_id,
        parent_id=_NOT_TOLD,
        start_ns=record.at_ns,
        end_ns=None,
        remote_parent=False,
        service=service,
        session=session_of(record.attrs),
        failed=False,
        file=record.file,
        offset=record.offset,
        facts=begun_request(),
    )


def _service_of(resource: Mapping[str, Attribute]) -> str:
    """Return a service's name and instance, as far as they are on file."""
    instance = resource.get("service.instance.id")
    if instance is None:
        parts = (resource.get("host.name"), resource.get("container.id"), resource.get("process.pid"))
        instance = "/".join(str(part) for part in parts if part is not None)
    names = (resource.get("service.namespace"), resource.get("service.name"), instance)
    return "/".join(str(name) for name in names if name) or "unnamed"


def _own_id(node: Node) -> str:
    return "" if node.facts is None else node.facts.turn_id


def _worth(node: Node) -> tuple[bool, int, int]:
    """Order what several records say of one span: its end counts more than its begin, whatever came first."""
    return (node.parent_id != _NOT_TOLD, node.end_ns or 0, -node.start_ns)


def _marks(turn: Turn, turn_id: str, process: Process) -> Iterator[Mark]:
    session_id = turn.told_by(lambda node: node.session)
    for seq, draft in enumerate(story_of(turn, process.horizon_ns)):
        yield Mark(
            turn_id=turn_id,
            session_id=session_id,
            lane=draft.lane,
            phase=draft.phase,
            at_ns=draft.at_ns,
            wall_ns=draft.at_ns,
            seq=seq,
            process_id=process.process_id,
            file=draft.file,
            offset=draft.offset,
            attrs=draft.attrs,
        )
