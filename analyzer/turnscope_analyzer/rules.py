"""Every rule that can decide a turn: its rank among rules that both match, its sentence and its advice.

The SQL says which turns a rule claims; what the rule means to a person stands here, one row a rule. The
part of a name before the dot is the cause, or for a turn without a cause its state. The lower rank wins: a
structural proof before a wait that is only long, a particular cause before a general one. What a source cannot
show goes before all of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from turnscope.phases import CAUSES, Cause


class Rule(NamedTuple):
    """A rule's meaning.

    ``sentence`` may name ``{waits_on}``, ``{phase}``, ``{error}``, ``{step}``, ``{attempts}`` and ``{detail}``;
    ``ruled_out`` says which neighbours the rule excludes, and by what.
    """

    name: str
    rank: int
    sentence: str
    next_step: str
    ruled_out: tuple[str, ...] = ()

    @property
    def cause(self) -> Cause | None:
        """The cause that the rule stands for, None for a turn that needs none."""
        return _CAUSE.get(self.name.partition(".")[0])


_CAUSE: Final[dict[str, Cause]] = {cause: cause for cause in CAUSES}

_CHECK_UPSTREAM = "Retry the turn; if it happens again, look at the provider's status and at the proxy in between."
_LOOK_AT_GATEWAY = "Look at the gateway's log at that time: its own code did not go on."

# One row a rule: a table that is read down its columns.
# fmt: off
RULES: Final = (
    # nobody is left who could go on
    Rule("process_lost.recovered", 10, "its process died, and the turn was closed at its last proof of life{detail}",
         "Resume it under its turn id, or tell the user that it was interrupted.",
         ("a stall: the process died before any wait had lasted long enough",)),
    Rule("process_lost.killed", 10, "its process is gone and said no goodbye; the turn was waiting for {waits_on}",
         "Resume the thread, or restart the gateway with recover(), which closes this turn as interrupted.",
         ("a stall: the process died before any wait had lasted long enough",)),
    Rule("process_lost.left_open", 10, "its process ended and left the turn open, waiting for {waits_on}",
         "Restart the gateway with recover(); let the gateway end its turns before it exits.",
         ("a stall: the process ended before any wait had lasted long enough",)),
    Rule("process_lost.after_wait", 85, "its process is gone; before that the turn had waited too long for {waits_on}, and "
         "why is not on file", "Resume the thread; if it waits again, look at the program's log while it does.", ()),
    Rule("detachment.client_behind", 10, "the turn ended, and the client that is attached has not seen its end{detail}",
         "Reload the client or reattach it at its cursor; the answer is complete on the server.",
         ("a stall: the turn's own record is complete",)),
    Rule("detachment.ended_unseen", 10, "the turn ended after its last client had left, and none has come back{detail}",
         "Reattach a client: the answer is complete on the server.",
         ("a stall: the turn's own record went on after the client had left",)),
    Rule("detachment.running_unseen", 40, "the turn goes on, and its last client left{detail}",
         "Reattach a client, or stop the turn if nobody wants it any more.",
         ("a stall: no phase of the turn is past its budget",)),
    # the server or the client said what is wrong
    Rule("quota_or_auth.waiting", 12, "waits for a limit to reset{detail}",
         "Wait for the reset, or use another account or model.",
         ("transport: the server answered",)),
    Rule("quota_or_auth.refused", 12, "the provider refused: {error}",
         "Check the account's limits and its login; a retry before the reset will fail, too.",
         ("transport: the server answered", "a model stall: it answered at once")),
    Rule("quota_or_auth.retry_loop", 12, "keeps retrying what the provider refuses: {error}, {attempts} failed",
         "Check the account's limits and its login; let the gateway wait for the reset instead of retrying.",
         ("transport: the server answered",)),
    Rule("context_length.exceeded", 14, "the input is larger than the model's window",
         "Start a new thread with a handoff, or strip images and old tool output from this one.",
         ("transport and a model stall: the server answered", "compaction: its own request was not what failed")),
    Rule("context_length.too_many_bytes", 14, "the request is larger than the server takes",
         "Take pictures and large tool output out of the thread, or start a new one with a handoff: a retry is as large.",
         ("transport and a model stall: the server answered", "compaction: its own request was not what failed")),
    Rule("compaction.failed", 15, "the compaction failed: {error}",
         "Do not send more into this thread. Strip images and old tool output, or start a new thread with a handoff.",
         ("continuation loss: a compaction stood in between",)),
    Rule("compaction.not_handled", 15, "the compaction failed ({error}), and nobody went on with the turn",
         "End the turn with an honest error. Strip images and old tool output, or start a new thread.",
         ("continuation loss: a compaction stood in between",)),
    Rule("hydration.failed", 15, "the thread's history could not be loaded: {error}",
         "Check the session's file for size and broken records.", ()),
    Rule("hydration.not_handled", 15, "the thread's history could not be loaded ({error}), and nobody went on",
         "End the turn with an honest error. Check the session's file for size and broken records.", ()),
    Rule("model_stall.idle_timeout", 16, "the model was silent for longer than the client waits",
         _CHECK_UPSTREAM, ("transport: headers had come",)),
    Rule("model_stall.answer_timeout", 16, "no answer came in the time that the turn had; whether headers came is not on "
         "file", _CHECK_UPSTREAM, ("refusal, reset and a cut stream: none was reported",)),
    Rule("tool_hang.timed_out", 16, "the turn's time was up while a tool ran{detail}",
         "Look at the tool's process; give the turn more time if the tool needs it.",
         ("a model stall: the model's response was complete",)),
    Rule("silent_drop.given_up", 16, "was accepted, and given up before its request was sent; nobody was told",
         "Send the message again: it is lost. Start a new session first if its window is full.",
         ("a model stall and transport: no request was sent", "detachment: there is no answer that could be shown")),
    Rule("transport.failed", 18, "the request failed in transport: {error}, {attempts} failed",
         "Check the network, the proxy and the provider's status, then retry.",
         ("quota or login: no 401, 403 or 429",)),
    # a wait that is past its budget
    Rule("compaction.open", 20, "waits for {waits_on} in a compaction",
         "Cancel the turn. Strip images and old tool output, or start a new thread with a handoff.",
         ("continuation loss: a compaction stands in between",)),
    Rule("hydration.open", 20, "waits for {waits_on}",
         "Look at the size of the session's file; move it away or start a new thread if it is huge.",
         ("a model stall: no request was sent yet",)),
    Rule("model_stall.keepalives_only", 22, "the connection lives and the model is silent: keepalives and no event",
         _CHECK_UPSTREAM, ("transport: keepalives came in the silence",)),
    Rule("model_stall.after_headers", 24, "the provider answered with headers, then sent nothing",
         _CHECK_UPSTREAM, ("pre-start: the request was sent", "refusal: the headers came without an error")),
    Rule("model_stall.after_first_byte", 24, "bytes came from the provider, but no event",
         _CHECK_UPSTREAM, ("pre-start: the request was sent",)),
    Rule("model_stall.before_first_item", 24, "the stream began, but no item came",
         _CHECK_UPSTREAM, ("pre-start: the request was sent",)),
    Rule("model_stall.mid_stream", 24, "the stream stopped in the middle of the answer{detail}",
         _CHECK_UPSTREAM, ("pre-start: the request was sent", "continuation loss: the response had begun")),
    Rule("transport.not_retried", 24, "the request failed in transport ({error}), and nobody retried or told the user",
         _LOOK_AT_GATEWAY, ("quota or login: no 401, 403 or 429",)),
    Rule("transport.retry_loop", 24, "keeps reconnecting: {attempts} failed ({error}), the next has no answer",
         "Check the network, the proxy and the provider's status.", ("quota or login: no 401, 403 or 429",)),
    Rule("transport.no_headers", 26, "the request was sent, and no headers came: a dead path and a model "
         "that is slow to answer look alike here",
         "Check the path to the provider: address, proxy, VPN. A retry that answers at once speaks for the path.",
         ("pre-start: the request was sent", "refusal and reset: neither was reported")),
    Rule("continuation_loss.after_tool_result", 28, "the tool's result came in, and the post-tool request was never sent",
         "Send any message to wake the turn, and check which side effects have already happened.",
         ("tool hang: every call has its result", "a model stall: no request was sent after the result")),
    Rule("continuation_loss.after_denial", 28, "the call was denied, and nobody told the model",
         _LOOK_AT_GATEWAY, ("waiting on a person: the decision was made",)),
    Rule("continuation_loss.after_compaction", 28, "the compaction was done, and nobody went on with the turn",
         "Send any message to wake the turn.", ("compaction: it completed",)),
    Rule("continuation_loss.after_response", 28, "the response was complete, and neither a tool nor the turn's end came",
         "Send any message to wake the turn; the answer may already be there.",
         ("a model stall: the response was complete",)),
    Rule("continuation_loss.follow_up_not_on_file", 34, "the step ended and nothing follows; whether the follow-up was "
         "sent is not on file", "Look at the program's log, or at the model's side, for a request after that time.",
         ("tool hang: every call has its result",)),
    Rule("transport.last_request_failed", 34, "the last request on file failed in transport ({error}); whether it was "
         "tried again is not", "Check the network, the proxy and the provider's status.",
         ("quota or login: no 401, 403 or 429",)),
    Rule("model_stall.slow_answer", 34, "a request took long until its answer was complete; when its parts came is not on "
         "file", _CHECK_UPSTREAM, ("a failure: the answer came",)),
    Rule("model_stall.no_answer_on_file", 34, "the prompt was submitted, and no answer is on file; whether headers came "
         "is not", _CHECK_UPSTREAM, ("pre-start: the prompt was submitted",)),
    Rule("queue_blocked.not_moving", 28, "waits in the queue{detail}",
         "Look at the turn before it in the same session: that is the one to end.",
         ("silent drop: it is in a queue",)),
    Rule("silent_drop.never_started", 28, "was accepted, and neither started, queued nor rejected",
         "Send the message again: it is lost. " + _LOOK_AT_GATEWAY,
         ("queue: it was never queued", "detachment: there is no turn that could be shown")),
    Rule("pre_start.never_sent", 30, "runs, but its request to the model was never sent{detail}",
         "Look at what the gateway does before its first request: plugins, MCP servers, bootstrap.",
         ("a model stall and transport: no request was sent",)),
    Rule("pre_start.started_late", 32, "was accepted, and its run began late",
         "Look at what the gateway does before its first request: plugins, MCP servers, bootstrap.",
         ("silent drop: it was started",)),
    Rule("pre_start.follow_up_never_sent", 30, "the post-tool request was asked for, and never sent",
         _LOOK_AT_GATEWAY, ("continuation loss: the follow-up was asked for", "a model stall: no request was sent")),
    Rule("tool_hang.no_result", 30, "the tool was called and has not come back{detail}",
         "Look at the tool's process; stop it if it waits for input that never comes.",
         ("a model stall: the model's response is complete",)),
    # nothing says why
    Rule("unknown.ends_not_on_file", 5, "this source does not write down when a turn ends",
         "Nothing to do, unless the user says that it hangs; newer versions record more.", ()),
    Rule("unknown.records_stop", 5, "was going on when its records stop, after {phase}; whether its process still lives is "
         "not on file", "Look whether its process lives, or read its records again: they show what came next.", ()),
    Rule("unknown.other_error", 90, "failed: {error}", "Look at the evidence; the kind of error tells no more.", ()),
    Rule("unknown.failed_without_reason", 90, "failed, and the reason is not on file",
         "Look at the program's own log at that time.", ()),
    Rule("unknown.requests_not_on_file", 90, "the records stop in the middle of the turn, after {phase}; a model stall, "
         "transport or a lost process look alike here",
         "Look whether its process lives. Its log or its telemetry beside these records tells them apart.", ()),
    Rule("unknown.stall_or_transport", 90, "the wait after {phase} was for a response: a model stall or transport, and which "
         "of the two is not on file", "Retry the turn. The program's log or its telemetry beside these records tells the "
         "two apart.", ("process_lost: the process lives, or went on",)),
    Rule("unknown.unexplained", 95, "waits for {waits_on}; no rule explains it", "Look at the evidence.", ()),
    # nothing is wrong
    Rule("healthy.completed", 100, "completed", ""),
    Rule("healthy.in_progress", 100, "is in progress, waiting for {waits_on}", ""),
    Rule("waiting.approval", 100, "waits for a person's decision{detail}", "Approve or deny the call."),
    Rule("waiting.tool", 100, "waits for a running tool{detail}",
         "Nothing yet: a running tool is not a stall. If it may wait for an approval, look at the client."),
    Rule("cancelled.stopped", 100, "was cancelled", ""),
    Rule("cancelled.interrupted", 100, "was interrupted; by whom is not on file", ""),
)
# fmt: on

RULE: Final = {rule.name: rule for rule in RULES}
"""Rule by name."""
