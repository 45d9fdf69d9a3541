-- facts: of each turn what goes into the words of its verdict.
-- reads:   turns(turn_id, session_id, source, process_id, fate, horizon_ns, accepted_ns, ended_phase, ended_ns)
-- reads:   turns(ended_seq, recovered_ns, wait_phase, wait_seq, wait_silent_ns, wait_step, failed_attempts)
-- reads:   turns(failure_error, failure_seq, attached, seen, sent, cancel)
-- reads:   standing(turn_id, state, lane, phase, since_ns, seq, age_ns, error_type)
-- column:  turn_id VARCHAR        -- the turn
-- column:  session_id VARCHAR     -- its session
-- column:  source VARCHAR         -- what kind of record told us
-- column:  process_id VARCHAR     -- the process that marked it last
-- column:  fate VARCHAR           -- what became of that process
-- column:  horizon_ns BIGINT      -- how far its records reach
-- column:  accepted_ns BIGINT     -- when the turn was accepted, NULL where that is not on file
-- column:  ended_phase VARCHAR    -- its terminal phase, NULL while it has none
-- column:  ended_ns BIGINT        -- when it ended
-- column:  ended_seq BIGINT       -- the mark that ended it
-- column:  recovered_ns BIGINT    -- last life of its process, where recover() closed it
-- column:  wait_phase VARCHAR     -- the phase that it waits in, NULL when it has ended
-- column:  wait_seq BIGINT        -- the mark that opened it
-- column:  wait_silent_ns BIGINT  -- since when without progress
-- column:  wait_step BIGINT       -- of the request that it waits for
-- column:  failed_attempts BIGINT -- requests that failed in a row
-- column:  failure_error VARCHAR  -- why the last failure that was not put right happened
-- column:  failure_seq BIGINT     -- the mark that says so
-- column:  attached BIGINT        -- clients that show the turn now, NULL where none ever did
-- column:  seen BIGINT            -- the furthest event that a client has seen
-- column:  sent BIGINT            -- events that the turn sent
-- column:  cancel VARCHAR         -- what a stop came to, NULL where nobody asked for one
-- column:  state VARCHAR          -- one of the states
-- column:  lane VARCHAR           -- the lane that decides
-- column:  phase VARCHAR          -- the phase that decides
-- column:  since_ns BIGINT        -- since when
-- column:  seq BIGINT             -- the mark that says so
-- column:  age_ns BIGINT          -- how long, NULL where it is no wait
-- column:  error_type VARCHAR     -- why it failed
-- grain:   one row per turn
SELECT
    turns.turn_id AS turn_id,
    turns.session_id,
    turns.source,
    turns.process_id,
    turns.fate,
    turns.horizon_ns,
    turns.accepted_ns,
    turns.ended_phase,
    turns.ended_ns,
    turns.ended_seq,
    turns.recovered_ns,
    turns.wait_phase,
    turns.wait_seq,
    turns.wait_silent_ns,
    turns.wait_step,
    turns.failed_attempts,
    turns.failure_error,
    turns.failure_seq,
    turns.attached,
    turns.seen,
    turns.sent,
    turns.cancel,
    standing.state,
    standing.lane,
    standing.phase,
    standing.since_ns,
    standing.seq,
    standing.age_ns AS age_ns,
    standing.error_type
FROM turns
INNER JOIN standing ON turns.turn_id = standing.turn_id
