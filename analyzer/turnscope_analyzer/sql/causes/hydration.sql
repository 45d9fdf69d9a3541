-- hydration: the thread's history was not loaded.
-- reads:   standing(turn_id, state, basis, phase, error_type, troubled)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- What is on file is the size of what was being loaded; it goes into the evidence.
SELECT
    standing.turn_id,
    CASE
        WHEN standing.basis = 'failure' THEN 'hydration.failed'
        WHEN standing.phase = 'hydration_failed' THEN 'hydration.not_handled'
        ELSE 'hydration.open'
    END AS rule,
    CASE
        WHEN standing.basis = 'failure' THEN 'certain'
        WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
LEFT JOIN error_kinds AS kind ON standing.error_type = kind.error_type
WHERE standing.troubled
    AND (
        standing.phase IN ('hydration_started', 'hydration_failed')
        OR (standing.basis = 'failure' AND kind.cause = 'hydration')
    )
