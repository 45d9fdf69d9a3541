-- turns: one row of facts a turn, all that the verdict rests on.
-- reads:   lives(turn_id, session_id, accepted_ns, ended_phase, ended_ns, ended_seq, worked_ns, recovered_ns, traced)
-- reads:   turn_phases(turn_id, process_id, own, turn_next_ns)
-- reads:   processes(process_id, source, fate, horizon_ns, shows_requests, shows_ends)
-- reads:   waits(turn_id, lane, phase, since_ns, silent_ns, seq, error_type, escalated, purpose, step, keepalives)
-- reads:   ages(turn_id, age_ns, slow_after_ns, stuck_after_ns)
-- reads:   gaps(turn_id, lane, phase, since_ns, gap_ns, overdue, seq, purpose)
-- reads:   failures(turn_id, lane, phase, at_ns, seq, error_type, purpose, failed_attempts)
-- reads:   views(turn_id, attached, left_ns, left_seq, came_ns, came_seq, seen, sent)
-- reads:   stops(turn_id, result)
-- reads:   limits(process_id, phase, stuck_after_ns)
-- column:  turn_id VARCHAR           -- the turn
-- column:  session_id VARCHAR        -- its session
-- column:  process_id VARCHAR        -- the process that marked it last
-- column:  source VARCHAR            -- what kind of record told us
-- column:  fate VARCHAR              -- what became of that process
-- column:  horizon_ns BIGINT         -- how far its records reach
-- column:  shows_requests BOOLEAN    -- this source writes down when a request is sent
-- column:  shows_ends BOOLEAN        -- this source writes down when a turn ends
-- column:  accepted_ns BIGINT        -- when the turn was accepted, NULL where that is not on file
-- column:  ended_phase VARCHAR       -- its terminal phase, NULL while it has none
-- column:  ended_ns BIGINT           -- when it ended
-- column:  ended_seq BIGINT          -- the mark that ended it
-- column:  worked_ns BIGINT          -- the last mark of a request, a tool or other work
-- column:  recovered_ns BIGINT       -- last life of its process, where recover() closed it
-- column:  wait_lane VARCHAR         -- what it waits in, NULL when it has ended
-- column:  wait_phase VARCHAR        -- the phase
-- column:  wait_since_ns BIGINT      -- since when
-- column:  wait_silent_ns BIGINT     -- since when without progress
-- column:  wait_seq BIGINT           -- the mark that opened it
-- column:  wait_error VARCHAR        -- what that mark complains of
-- column:  wait_escalated BOOLEAN    -- it may wait for a person, which is not on file
-- column:  wait_purpose VARCHAR      -- of the request it belongs to
-- column:  wait_step BIGINT          -- of that request
-- column:  keepalives BIGINT         -- signs of life of the connection
-- column:  age_ns BIGINT             -- how long without progress, at the horizon
-- column:  slow_after_ns BIGINT      -- limits of that phase
-- column:  stuck_after_ns BIGINT     -- limits of that phase
-- column:  gap_lane VARCHAR          -- the longest wait that is over, if it was unusual
-- column:  gap_phase VARCHAR         -- its phase
-- column:  gap_since_ns BIGINT       -- its begin
-- column:  gap_ns BIGINT             -- its length
-- column:  gap_overdue BOOLEAN       -- it was past its stuck budget before it was over
-- column:  gap_seq BIGINT            -- the mark that opened it
-- column:  gap_purpose VARCHAR       -- of the request it belongs to
-- column:  failure_lane VARCHAR      -- the last failure that was not put right
-- column:  failure_phase VARCHAR     -- its phase
-- column:  failure_ns BIGINT         -- when
-- column:  failure_seq BIGINT        -- the mark that says so
-- column:  failure_error VARCHAR     -- why
-- column:  failure_purpose VARCHAR   -- of the request it belongs to
-- column:  failed_attempts BIGINT    -- requests that failed in a row
-- column:  attached BIGINT           -- clients that show the turn now, NULL where none ever did
-- column:  left_ns BIGINT            -- when the last one left
-- column:  left_seq BIGINT           -- the mark that says so
-- column:  came_ns BIGINT            -- when the last one came
-- column:  came_seq BIGINT           -- the mark that says so
-- column:  seen BIGINT               -- the furthest event that a client has seen
-- column:  sent BIGINT               -- events that the turn sent
-- column:  unseen_after_ns BIGINT    -- how long an end may stay unseen
-- column:  cancel VARCHAR            -- what a stop came to, NULL where nobody asked for one
-- grain:   one row per turn
SELECT
    lives.turn_id AS turn_id,
    lives.session_id,
    process.process_id AS process_id,
    process.source,
    CASE WHEN lives.recovered_ns IS NOT NULL THEN 'killed' ELSE process.fate END AS fate,
    process.horizon_ns,
    process.shows_requests AND NOT lives.traced AS shows_requests,
    process.shows_ends,
    lives.accepted_ns,
    lives.ended_phase,
    lives.ended_ns,
    lives.ended_seq,
    lives.worked_ns,
    lives.recovered_ns,
    wait.lane AS wait_lane,
    wait.phase AS wait_phase,
    wait.since_ns AS wait_since_ns,
    wait.silent_ns AS wait_silent_ns,
    wait.seq AS wait_seq,
    wait.error_type AS wait_error,
    wait.escalated AS wait_escalated,
    wait.purpose AS wait_purpose,
    wait.step AS wait_step,
    wait.keepalives,
    age.age_ns,
    age.slow_after_ns AS slow_after_ns,
    age.stuck_after_ns AS stuck_after_ns,
    gap.lane AS gap_lane,
    gap.phase AS gap_phase,
    gap.since_ns AS gap_since_ns,
    gap.gap_ns,
    gap.overdue AS gap_overdue,
    gap.seq AS gap_seq,
    gap.purpose AS gap_purpose,
    failure.lane AS failure_lane,
    failure.phase AS failure_phase,
    failure.at_ns AS failure_ns,
    failure.seq AS failure_seq,
    failure.error_type AS failure_error,
    failure.purpose AS failure_purpose,
    failure.failed_attempts,
    views.attached,
    views.left_ns,
    views.left_seq,
    views.came_ns,
    views.came_seq,
    views.seen,
    views.sent,
    unseen.stuck_after_ns AS unseen_after_ns,
    stops.result AS cancel
FROM lives
INNER JOIN turn_phases AS last_mark
    ON lives.turn_id = last_mark.turn_id
    AND last_mark.own
    AND last_mark.turn_next_ns IS NULL
INNER JOIN processes AS process ON last_mark.process_id = process.process_id
INNER JOIN limits AS unseen ON process.process_id = unseen.process_id AND unseen.phase = 'renderer_detached'
LEFT JOIN waits AS wait ON lives.turn_id = wait.turn_id
LEFT JOIN ages AS age ON lives.turn_id = age.turn_id
LEFT JOIN gaps AS gap ON lives.turn_id = gap.turn_id
LEFT JOIN failures AS failure ON lives.turn_id = failure.turn_id
LEFT JOIN views ON lives.turn_id = views.turn_id
LEFT JOIN stops ON lives.turn_id = stops.turn_id
