-- tool_hang: a tool was called, and its result never came.
-- reads:   standing(turn_id, state, basis, phase, error_type, troubled)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Long tools are normal: a dev server, a sub-agent, an approval that the client does not report. So it takes a much
-- longer time than any other wait, and stays possible without a process that can be looked at.
SELECT
    standing.turn_id,
    CASE WHEN standing.basis = 'failure' THEN 'tool_hang.timed_out' ELSE 'tool_hang.no_result' END AS rule,
    CASE
        WHEN standing.basis = 'failure' THEN 'certain'
        WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
LEFT JOIN error_kinds AS kind ON standing.error_type = kind.error_type
WHERE standing.troubled
    AND (
        (standing.basis = 'wait' AND standing.phase IN ('tool_call', 'approved'))
        OR (standing.basis = 'failure' AND kind.cause = 'tool_hang')
    )
