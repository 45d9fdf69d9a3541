"""What the doctor can find: one row a code. The command, its JSON and the documentation take it from here."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""``error``: a person is waiting for nothing, has lost something, or will. ``warning``: it will come to that, or may
have. ``note``: good to know, nothing is to be done."""

Restart = Literal["safe", "unsafe", "unclear"]
"""Whether the gateway or agent may be restarted while a finding stands."""


class Code(NamedTuple):
    """One kind of finding; ``severity`` is that of the plain case, ``fixable`` whether ``--fix`` repairs it."""

    name: str
    severity: Severity
    title: str
    told_by: str
    harm: str
    restart: Restart
    why: str
    repair: str
    fixable: bool = False


CODES: Final[tuple[Code, ...]] = (
    Code(
        "ZOMBIE_RUNNING",
        "error",
        "A session's row says that a turn is running, and it has ended.",
        "The row's own times (`endedAt` at or after `startedAt`), a terminal record of the turn in transcript, "
        "trajectory, audit or log, a lock whose owner is gone, or a gateway that was started since. An `endedAt` "
        "before `startedAt` is only what the run before has left. The times are those of the store, not of this "
        "machine.",
        "The session looks busy for ever: clients show it as working, watchdogs and automations wait for it, and "
        "versions before 2026.9 never put the row right.",
        "unclear",
        "Up to 2026.5 a restart changes nothing about the row. From 2026.9 on it takes the row for an interrupted "
        "turn and runs it again, with all its side effects.",
        "Stop the gateway, then `turnscope doctor --fix ZOMBIE_RUNNING`; or send the session a message, which "
        "writes the row anew.",
        fixable=True,
    ),
    Code(
        "RECOVERY_PENDING",
        "warning",
        "A restarted gateway will run a turn again.",
        "The row carries a recovery that is reserved (`mainRestartRecovery`). It is an error where the turn had ended.",
        "What the turn did, its tools do twice: messages are sent again, commands run again.",
        "unsafe",
        "Each further start goes on with the recovery.",
        "If it must not run again: stop the session in the client before the gateway takes it up, or reset the "
        "session.",
    ),
    Code(
        "ROW_REFUSED",
        "error",
        "The gateway refuses a session's row until it is repaired.",
        "`entry_valid` is 0: another program has changed the row.",
        "The session cannot be listed, and with it none of its store.",
        "safe",
        "The row is refused before and after.",
        "`openclaw doctor --fix`, with the gateway stopped.",
    ),
    Code(
        "SILENT_DROP",
        "error",
        "A message was accepted and never run.",
        "The row has seen it come in (`lastInteractionAt` after `endedAt`) and a minute later no record of a run "
        "is there; or its run ended before its prompt was submitted, without a word in the transcript; or accepted"
        " less started, queued and refused is not 0. Only possible, and a warning, where the store ends with the "
        "message.",
        "The person has sent something, was told nothing, and waits. It repeats with each message while its reason"
        " lasts, mostly a thread that is too large to be compacted.",
        "safe",
        "The message is in no queue: a restart does not lose it again, and does not bring it back.",
        "Send it again in a new session, or make room first (OVERSIZED_THREAD). The list of lost messages says which.",
    ),
    Code(
        "SHADOW_STORE",
        "error",
        "There is a second state folder inside of an agent's isolated home.",
        "`agents/<agent>/agent/codex-home/home/.openclaw` below a state folder, told by real paths: a link to the "
        "store is none. Only a warning where it holds no sessions: a command has run there and seen an empty "
        "store.",
        "Commands that run inside of the agent read and write this store. What they change never reaches the "
        "gateway, and what they list is not what is there.",
        "safe",
        "The gateway does not know the second store.",
        "Run the commands with `OPENCLAW_STATE_DIR` set to the store of the gateway. When nothing in the second "
        "store is missed, move it away.",
    ),
    Code(
        "SPLIT_BRAIN",
        "error",
        "Two stores disagree about the same session or thread.",
        "The same session key in a state folder and in its shadow with another session or status; the same session"
        " or thread in two homes with other contents; two lists of threads in one Codex home. Two profiles that "
        "happen to have the same key are none.",
        "Which of the two is shown depends on who looks. Repairs and resets hit the one that nobody uses.",
        "safe",
        "A restart goes on with the store that is live now.",
        "Work on the live store only; it is named with the reason. Move the other one away.",
    ),
    Code(
        "ORPHAN_TURN",
        "error",
        "A turn began and never ended, and its process is gone.",
        "A turn without a terminal record whose process was killed, or that a later turn of its thread has passed."
        " Only possible, and a warning, in a copy and in a thread that a live process may still write; a note "
        "where later turns went on.",
        "Its answer will never come. What it had begun may be half done, and some clients cannot open the thread.",
        "safe",
        "Nobody runs it any more.",
        "Look at what its tools had done, then ask again. `analyze HOME --turn ID` shows how far it came.",
    ),
    Code(
        "DANGLING_TOOL_CALL",
        "warning",
        "A tool was called, and its result is missing.",
        "A tool's lane is open in a turn that has ended, or whose process is gone.",
        "Whether the tool did its work is not known. Some providers refuse a history with a call that has no output.",
        "unclear",
        "The tool may still run as a process of its own.",
        "Find out whether it has run before it is run again; the record names the call.",
    ),
    Code(
        "STOP_WITHOUT_EFFECT",
        "error",
        "Somebody stopped a turn, and it went on or nobody knows.",
        "A stop was asked for, and no terminal record of the same turn follows, or records of its progress do.",
        "The person believes that it has stopped. It goes on to run tools and to cost tokens.",
        "unsafe",
        "The turn may be at work right now.",
        "Stop it again by its own id; if it goes on, end its process.",
    ),
    Code(
        "TERMINAL_BUT_STREAMING",
        "warning",
        "A turn is over, and something still shows it as running.",
        "The index of turns calls it `inProgress` and the rollout has its end; or records of the turn stand behind"
        " its end; or its client had not seen the end.",
        "The client spins although the answer is there, and offers a Stop that can stop nothing.",
        "safe",
        "The turn is complete on disk.",
        "Resume the thread in another client, or restart the client: it reads the rollout anew.",
    ),
    Code(
        "DUPLICATE_SESSION_ID",
        "warning",
        "Two sessions share one id.",
        "Two keys of a store name the same session, or two rollouts the same thread. A key that is another one's "
        "with `:run:` and the session behind it is one run of a schedule, and none.",
        "Both write into one history: answers land in the wrong conversation, and a reset of one takes the other "
        "along.",
        "safe",
        "A restart does not mix them further.",
        "Reset one of the two in its client; the record says which keys.",
    ),
    Code(
        "INDEX_FILE_MISMATCH",
        "warning",
        "A database and the files that it lists say different things.",
        "Threads in the list without a rollout, archived ones that are not, rollouts that are not in the list, and"
        " turns of which the index tells another end than the rollout.",
        "Threads are missing from the list, cannot be opened (`no rollout found for thread id`), or show a wrong "
        "state.",
        "safe",
        "The rollouts are what counts; the index follows them.",
        "Resume the thread by its id: that writes its rows anew. Rows without a file do no harm.",
    ),
    Code(
        "CORRUPT_RECORDS",
        "warning",
        "Records of a file cannot be read.",
        "Lines that are no JSON, cut off, glued together or full of NUL bytes; damaged databases and packed files.",
        "What stood there is missing from the thread; some programs cannot open it at all.",
        "safe",
        "Damage does not spread; a half line at the end may belong to a writer that lives.",
        "`analyze` reads around them. Copy the file before anything else writes to it.",
    ),
    Code(
        "STALE_LOCK",
        "warning",
        "A lock was left behind by a process that is gone.",
        "The lock names a process that does not live on this host, or that has started at another time; or nobody "
        "holds the lock, and it is older than the last record. In a copied home no lock says anything. A note for "
        "Codex, whose next writer takes the lock.",
        "A gateway that meets it waits until it gives up; other programs take the session for busy.",
        "safe",
        "A gateway removes such locks when it starts.",
        "Restart the gateway, or `turnscope doctor --fix STALE_LOCK`.",
        fixable=True,
    ),
    Code(
        "OVERSIZED_THREAD",
        "warning",
        "A thread is so large that clients fail on it.",
        "50 MB, or a record of 5 MB; an error from 300 MB, or a record of 100 MB on. Of a session of OpenClaw, 80 "
        "% of the window without a compaction ever.",
        "Opening it takes minutes and gigabytes, or kills the client; each request carries what is left of it.",
        "unclear",
        "A client that opens the thread by itself when it starts may not come up.",
        "`turnscope rescue THREAD` takes images and large tool outputs out, and keeps them beside it.",
    ),
    Code(
        "COMPACTION_RISK",
        "warning",
        "The next compactions will probably fail.",
        "The last turn's compaction failed (then it is an error), or at the present growth one fails within ten "
        "turns: the largest step so far is more than what is left between the limit and the window, or each "
        "compaction leaves more than the one before.",
        "When it fails, every further message fails, even the shortest one.",
        "safe",
        "A restart makes the thread neither larger nor smaller.",
        "Write a hand-over now, while the thread still answers; then a new thread, or `turnscope rescue THREAD`.",
    ),
    Code(
        "COMPACTION_LOOP",
        "error",
        "A thread is compacted again and again, and it buys nothing.",
        "At least three compactions in a row with no more than two responses between them.",
        "The turn never gets on: each answer is followed by minutes of compaction.",
        "safe",
        "The loop goes on after it.",
        "Stop the turn; `turnscope rescue THREAD`, or a new thread with a hand-over.",
    ),
    Code(
        "INLINE_IMAGES",
        "warning",
        "Images stand in the thread itself, many times over.",
        "`data:` URLs of 10 MB in all, or copies of the same images in what compactions have kept.",
        "Each compaction copies the images that it keeps, and each request sends them again.",
        "safe",
        "A restart does not multiply them.",
        "`turnscope rescue THREAD`.",
    ),
)
"""What is worse for a person stands first."""

CODE: Final[dict[str, Code]] = {code.name: code for code in CODES}
"""The codes by name."""
