-- standing: the state of each turn, and the wait or failure that decides it.
-- reads:   turns(turn_id, fate, horizon_ns, shows_requests, shows_ends, ended_phase, ended_ns, ended_seq, recovered_ns)
-- reads:   turns(worked_ns, wait_lane, wait_phase, wait_since_ns, wait_seq, wait_purpose, wait_error, wait_escalated)
-- reads:   turns(age_ns, slow_after_ns, stuck_after_ns, gap_lane, gap_phase, gap_since_ns, gap_ns, gap_overdue)
-- reads:   turns(gap_seq, gap_purpose)
-- reads:   turns(failure_lane, failure_phase, failure_ns, failure_seq, failure_error, failure_purpose)
-- reads:   turns(attached, left_ns, left_seq, came_ns, came_seq, seen, sent, unseen_after_ns, cancel)
-- column:  turn_id VARCHAR      -- the turn
-- column:  state VARCHAR        -- one of the states
-- column:  basis VARCHAR        -- what decides: wait (open), gap (over), failure, view (a client's), end
-- column:  lane VARCHAR         -- the lane that decides
-- column:  phase VARCHAR        -- the phase that decides
-- column:  since_ns BIGINT      -- since when
-- column:  seq BIGINT           -- the mark that says so
-- column:  age_ns BIGINT        -- how long, NULL where it is no wait
-- column:  purpose VARCHAR      -- turn or compaction, of the request that decides
-- column:  error_type VARCHAR   -- why it failed
-- column:  overdue BOOLEAN      -- the wait is past its stuck budget
-- column:  troubled BOOLEAN     -- what decides has a cause that is to be found
-- grain:   one row per turn
--
-- Where requests are not on file and nobody knows whether the process lives, silence before a response tells nothing:
-- the process may be long gone. So may that of a turn whose records stop while all is well.
--
-- A call that may need a person's approval waits for that, however long: programs do not write down that they ask.
--
-- A client is told from one that has seen enough by its cursor; without one, by work that went on after it had left.
WITH looked AS (
    SELECT
        turns.*,
        coalesce(turns.age_ns >= turns.stuck_after_ns, FALSE) AS overdue,
        coalesce(turns.age_ns >= turns.slow_after_ns, FALSE) AS late,
        coalesce(turns.wait_phase IN ('tool_call', 'approved'), FALSE) AS in_tool,
        CASE
            WHEN turns.attached IS NULL THEN FALSE
            WHEN turns.ended_phase IN ('completed', 'failed') AND turns.attached = 0
                THEN turns.left_ns < turns.ended_ns
                    AND turns.horizon_ns - turns.ended_ns >= turns.unseen_after_ns
                    AND CASE
                        WHEN turns.seen IS NULL OR turns.sent IS NULL THEN turns.left_ns < turns.worked_ns
                        ELSE turns.seen < turns.sent
                    END
            WHEN turns.ended_phase IN ('completed', 'failed')
                THEN turns.seen < turns.sent AND turns.horizon_ns - turns.ended_ns >= turns.unseen_after_ns
            WHEN turns.ended_phase IS NULL AND turns.attached = 0
                THEN turns.horizon_ns - turns.left_ns >= turns.unseen_after_ns
            ELSE FALSE
        END AS unseen
    FROM turns
),

judged AS (
    SELECT
        looked.*,
        CASE
            WHEN looked.ended_phase IS NULL AND NOT looked.shows_ends THEN 'not_determinable'
            WHEN looked.ended_phase IN ('completed', 'failed') AND looked.unseen THEN 'stuck'
            WHEN looked.ended_phase = 'completed' AND looked.gap_ns IS NOT NULL THEN 'slow'
            WHEN looked.ended_phase = 'completed' THEN 'healthy'
            WHEN looked.ended_phase = 'failed' THEN 'failed'
            WHEN looked.ended_phase IS NOT NULL THEN 'cancelled'
            WHEN looked.recovered_ns IS NOT NULL THEN 'orphaned'
            WHEN looked.cancel = 'cancelled' THEN 'cancelled'
            WHEN looked.fate IN ('killed', 'ended') THEN 'orphaned'
            WHEN looked.wait_phase IN ('awaiting_approval', 'awaiting_quota') THEN 'waiting'
            WHEN looked.in_tool AND looked.wait_escalated THEN 'waiting'
            WHEN looked.fate = 'unknown'
                AND NOT looked.shows_requests
                AND looked.wait_phase IN ('started', 'upstream_failed')
                AND looked.wait_error IS NULL
                AND coalesce(looked.wait_purpose <> 'compaction', TRUE)
                THEN 'not_determinable'
            WHEN looked.overdue THEN 'stuck'
            WHEN looked.in_tool THEN 'waiting'
            WHEN looked.fate = 'unknown' AND NOT looked.late THEN 'not_determinable'
            WHEN looked.unseen THEN 'stuck'
            WHEN looked.late THEN 'slow'
            ELSE 'healthy'
        END AS state
    FROM looked
),

grounded AS (
    SELECT
        judged.*,
        CASE
            WHEN judged.state = 'stuck' AND judged.unseen AND NOT judged.overdue THEN 'view'
            WHEN judged.state = 'failed' AND judged.failure_seq IS NOT NULL THEN 'failure'
            WHEN judged.state = 'slow' AND judged.ended_phase IS NOT NULL THEN 'gap'
            WHEN judged.state = 'cancelled' AND judged.gap_overdue THEN 'gap'
            WHEN judged.ended_phase IS NULL THEN 'wait'
            ELSE 'end'
        END AS basis
    FROM judged
)

SELECT
    ground.turn_id,
    ground.state,
    ground.basis,
    CASE ground.basis
        WHEN 'failure' THEN ground.failure_lane
        WHEN 'gap' THEN ground.gap_lane
        WHEN 'wait' THEN ground.wait_lane
        WHEN 'end' THEN 'turn'
        ELSE 'renderer'
    END AS lane,
    CASE ground.basis
        WHEN 'failure' THEN ground.failure_phase
        WHEN 'gap' THEN ground.gap_phase
        WHEN 'wait' THEN ground.wait_phase
        WHEN 'end' THEN ground.ended_phase
        ELSE CASE WHEN ground.attached > 0 THEN 'renderer_attached' ELSE 'renderer_detached' END
    END AS phase,
    CASE ground.basis
        WHEN 'failure' THEN ground.failure_ns
        WHEN 'gap' THEN ground.gap_since_ns
        WHEN 'wait' THEN ground.wait_since_ns
        WHEN 'end' THEN ground.ended_ns
        ELSE CASE WHEN ground.attached > 0 THEN ground.came_ns ELSE ground.left_ns END
    END AS since_ns,
    CASE ground.basis
        WHEN 'failure' THEN ground.failure_seq
        WHEN 'gap' THEN ground.gap_seq
        WHEN 'wait' THEN ground.wait_seq
        WHEN 'end' THEN ground.ended_seq
        ELSE CASE WHEN ground.attached > 0 THEN ground.came_seq ELSE ground.left_seq END
    END AS seq,
    CASE ground.basis
        WHEN 'gap' THEN ground.gap_ns
        WHEN 'wait' THEN ground.age_ns
        WHEN 'view' THEN ground.horizon_ns - coalesce(ground.ended_ns, ground.left_ns)
    END AS age_ns,
    CASE ground.basis
        WHEN 'failure' THEN ground.failure_purpose
        WHEN 'gap' THEN ground.gap_purpose
        WHEN 'wait' THEN ground.wait_purpose
    END AS purpose,
    CASE ground.basis
        WHEN 'failure' THEN ground.failure_error
        WHEN 'wait' THEN ground.wait_error
    END AS error_type,
    ground.overdue,
    ground.state IN ('stuck', 'slow', 'failed', 'not_determinable')
    OR (ground.state = 'orphaned' AND ground.overdue)
    OR (ground.state = 'cancelled' AND ground.basis = 'gap') AS troubled
FROM grounded AS ground
