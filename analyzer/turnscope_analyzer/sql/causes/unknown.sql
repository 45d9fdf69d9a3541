-- unknown: something is wrong, and the records do not say what.
-- reads:   standing(turn_id, state, error_type, troubled)
-- reads:   turns(turn_id, shows_requests, shows_ends)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- The last resort: any other cause that claims the turn goes before it.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.state = 'not_determinable' AND NOT turns.shows_ends THEN 'unknown.ends_not_on_file'
        WHEN standing.state = 'failed' AND standing.error_type IS NOT NULL THEN 'unknown.other_error'
        WHEN standing.state = 'failed' THEN 'unknown.failed_without_reason'
        WHEN NOT turns.shows_requests AND standing.state = 'not_determinable' THEN 'unknown.requests_not_on_file'
        WHEN standing.state = 'not_determinable' THEN 'unknown.records_stop'
        WHEN NOT turns.shows_requests THEN 'unknown.stall_or_transport'
        ELSE 'unknown.unexplained'
    END AS rule,
    'possible' AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
WHERE standing.troubled
