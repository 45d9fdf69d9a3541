-- silent_drop: the message was accepted, and nothing was ever done with it.
-- reads:   standing(turn_id, state, basis, phase, troubled)
-- reads:   turns(turn_id, fate)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Neither queued nor started nor rejected. Certain once the process that accepted it said goodbye: nobody is left
-- who could start it.
SELECT
    standing.turn_id AS turn_id,
    'silent_drop.never_started' AS rule,
    CASE
        WHEN turns.fate = 'ended' THEN 'certain'
        WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
WHERE standing.troubled
    AND standing.basis IN ('wait', 'gap')
    AND standing.phase = 'accepted'
