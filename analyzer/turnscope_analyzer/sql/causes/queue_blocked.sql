-- queue_blocked: the message is in a queue that does not move.
-- reads:   standing(turn_id, state, basis, phase, troubled)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- It is not lost: it waits behind something. What stands before it is in the evidence.
SELECT
    standing.turn_id,
    'queue_blocked.not_moving' AS rule,
    CASE WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely' ELSE 'possible' END AS confidence
FROM standing
WHERE standing.troubled
    AND standing.basis IN ('wait', 'gap')
    AND standing.phase = 'queued'
