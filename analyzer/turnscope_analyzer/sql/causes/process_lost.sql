-- process_lost: the process that ran the turn is gone.
-- reads:   standing(turn_id, state, overdue)
-- reads:   turns(turn_id, fate, recovered_ns)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- A wait that was past its budget when the process died keeps its own cause, if the records show one.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.overdue THEN 'process_lost.after_wait'
        WHEN turns.recovered_ns IS NOT NULL THEN 'process_lost.recovered'
        WHEN turns.fate = 'ended' THEN 'process_lost.left_open'
        ELSE 'process_lost.killed'
    END AS rule,
    'certain' AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
WHERE standing.state = 'orphaned'
