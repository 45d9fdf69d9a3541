-- silent_drop: the message was accepted, and nothing was ever done with it.
-- reads:   standing(turn_id, state, basis, phase, error_type, troubled)
-- reads:   turns(turn_id, fate)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Neither queued nor started nor rejected. Certain once the process that accepted it said goodbye: nobody is left
-- who could start it. One that was started late was not dropped. Where it cannot be told whether that process lives,
-- it may as well have died with the message.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.basis = 'failure' THEN 'silent_drop.given_up'
        ELSE 'silent_drop.never_started'
    END AS rule,
    CASE
        WHEN standing.basis = 'failure' THEN 'certain'
        WHEN turns.fate = 'unknown' THEN 'possible'
        WHEN turns.fate = 'ended' THEN 'certain'
        WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
LEFT JOIN error_kinds AS kind ON standing.error_type = kind.error_type
WHERE standing.troubled
    AND (
        (standing.basis = 'wait' AND standing.phase = 'accepted')
        OR (standing.basis = 'failure' AND kind.cause = 'silent_drop')
    )
