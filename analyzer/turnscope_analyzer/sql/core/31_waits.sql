-- waits: what each turn that has not ended waits in.
-- reads:   turn_phases(turn_id, lane, lane_kind, phase, at_ns, seq, process_id, error_type, terminal, own, escalated)
-- reads:   turn_phases(purpose, step, live_progress_at_ns, live_keepalives, turn_next_ns, lane_next_ns)
-- reads:   lives(turn_id, ended_phase, closing_ns)
-- reads:   vocabulary(phase, wait_rank)
-- column:  turn_id VARCHAR       -- the turn
-- column:  lane VARCHAR          -- where it waits
-- column:  phase VARCHAR         -- in which phase
-- column:  since_ns BIGINT       -- since when
-- column:  silent_ns BIGINT      -- last progress in it: since_ns, or the last chunk of the stream
-- column:  seq BIGINT            -- the mark that opened it
-- column:  process_id VARCHAR    -- the process that would have to go on
-- column:  error_type VARCHAR    -- what that mark complains of
-- column:  escalated BOOLEAN     -- it may wait for a person, which is not on file
-- column:  purpose VARCHAR       -- of the request it belongs to
-- column:  step BIGINT           -- of that request
-- column:  keepalives BIGINT     -- signs of life of the connection; they are not progress
-- grain:   one row per turn without a terminal phase
--
-- An open lane is the wait: first what only a person or a date can end, then the innermost work. A turn with no
-- lane open waits in the phase that was reached last: a result that nothing follows is a wait, too.
WITH candidates AS (
    SELECT
        phase.turn_id AS turn_id,
        phase.lane,
        phase.phase AS phase,
        phase.at_ns,
        phase.seq,
        phase.process_id,
        phase.error_type,
        phase.escalated,
        phase.purpose,
        phase.step,
        phase.live_progress_at_ns,
        phase.live_keepalives,
        row_number() OVER (
            PARTITION BY phase.turn_id
            ORDER BY
                word.wait_rank,
                CASE WHEN phase.lane_kind = 'tool' THEN phase.at_ns ELSE -phase.at_ns END,
                phase.seq,
                phase.process_id
        ) AS choice
    FROM turn_phases AS phase
    INNER JOIN lives ON phase.turn_id = lives.turn_id
    INNER JOIN vocabulary AS word ON phase.phase = word.phase
    WHERE lives.ended_phase IS NULL
        AND phase.own
        AND (
            phase.turn_next_ns IS NULL
            OR (
                phase.lane_next_ns IS NULL
                AND NOT phase.terminal
                AND phase.lane_kind <> 'turn'
                AND (lives.closing_ns IS NULL OR phase.at_ns > lives.closing_ns)
            )
        )
)

SELECT
    wait.turn_id,
    wait.lane,
    wait.phase,
    wait.at_ns AS since_ns,
    CASE WHEN wait.live_progress_at_ns > wait.at_ns THEN wait.live_progress_at_ns ELSE wait.at_ns END AS silent_ns,
    wait.seq,
    wait.process_id,
    wait.error_type,
    wait.escalated,
    wait.purpose,
    wait.step,
    wait.live_keepalives AS keepalives
FROM candidates AS wait
WHERE wait.choice = 1
