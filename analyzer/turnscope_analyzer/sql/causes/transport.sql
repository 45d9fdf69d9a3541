-- transport: the network, or the server at its other end, did not carry the request or the answer.
-- reads:   standing(turn_id, state, basis, phase, purpose, error_type, troubled)
-- reads:   turns(turn_id, failure_error, failed_attempts, shows_requests)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- A request without headers looks the same whether the path is dead or the model thinks: only possible, unless
-- attempts before it failed in transport. Where requests are not on file, the next attempt may be under way: one that
-- failed may be followed by any silence, several in a row speak for transport. A status decides before transport
-- does: 401, 403 and 429 are not its.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.basis = 'failure' THEN 'transport.failed'
        WHEN standing.phase = 'upstream_failed' AND NOT turns.shows_requests THEN 'transport.last_request_failed'
        WHEN standing.phase = 'upstream_failed' THEN 'transport.not_retried'
        WHEN trouble.cause = 'transport' THEN 'transport.retry_loop'
        ELSE 'transport.no_headers'
    END AS rule,
    CASE
        WHEN standing.basis = 'failure' THEN 'certain'
        WHEN standing.state NOT IN ('stuck', 'orphaned') THEN 'possible'
        WHEN NOT turns.shows_requests AND (turns.failed_attempts IS NULL OR turns.failed_attempts < 2) THEN 'possible'
        WHEN standing.phase = 'upstream_failed' OR trouble.cause = 'transport' THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
LEFT JOIN error_kinds AS kind ON standing.error_type = kind.error_type
LEFT JOIN error_kinds AS trouble ON turns.failure_error = trouble.error_type
WHERE standing.troubled
    AND (standing.purpose IS NULL OR standing.purpose <> 'compaction')
    AND (
        (
            standing.basis IN ('wait', 'gap')
            AND standing.phase = 'upstream_sent'
            AND (turns.shows_requests OR trouble.cause = 'transport')
        )
        OR ((standing.basis = 'failure' OR standing.phase = 'upstream_failed') AND kind.cause = 'transport')
    )
