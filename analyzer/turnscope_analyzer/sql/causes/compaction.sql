-- compaction: the thread could not be summarised to fit the window.
-- reads:   standing(turn_id, state, basis, phase, purpose, error_type, troubled)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Whatever happens to a request that was sent for the compaction is the compaction's: the user's turn cannot go
-- on without it.
SELECT
    standing.turn_id,
    CASE
        WHEN standing.basis = 'failure' THEN 'compaction.failed'
        WHEN standing.phase = 'compaction_failed' THEN 'compaction.not_handled'
        ELSE 'compaction.open'
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
        standing.phase IN ('compaction_started', 'compaction_failed')
        OR (standing.purpose = 'compaction' AND standing.phase <> 'compaction_completed')
        OR (standing.basis = 'failure' AND kind.cause = 'compaction')
    )
