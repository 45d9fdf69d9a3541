-- pre_start: the turn runs, and its request to the model was never sent.
-- reads:   standing(turn_id, state, basis, phase, troubled)
-- reads:   turns(turn_id, shows_requests)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- A plugin, an MCP server, a bootstrap. Users report it as a model stall: the missing upstream_sent tells them apart,
-- so only a source that writes requests down can show it.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.phase = 'accepted' THEN 'pre_start.started_late'
        WHEN standing.phase = 'continuation' THEN 'pre_start.follow_up_never_sent'
        ELSE 'pre_start.never_sent'
    END AS rule,
    CASE WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely' ELSE 'possible' END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
WHERE standing.troubled
    AND (
        (
            turns.shows_requests
            AND standing.basis IN ('wait', 'gap')
            AND standing.phase IN ('started', 'hydration_completed', 'continuation', 'quota_restored')
        )
        OR (standing.basis = 'gap' AND standing.phase = 'accepted')
    )
