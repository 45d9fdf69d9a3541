-- quota_or_auth: a limit or a login, not the network: 401, 403, 429, or a limit with a reset time.
-- reads:   standing(turn_id, basis, phase, purpose, error_type, troubled)
-- reads:   turns(turn_id, failure_error, shows_requests)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- A turn that waits for a limit to reset is waiting, not stuck; the cause is named all the same.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.phase = 'awaiting_quota' THEN 'quota_or_auth.waiting'
        WHEN standing.basis = 'failure' THEN 'quota_or_auth.refused'
        ELSE 'quota_or_auth.retry_loop'
    END AS rule,
    CASE
        WHEN standing.phase = 'awaiting_quota' OR standing.basis = 'failure' THEN 'certain'
        WHEN turns.shows_requests THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
LEFT JOIN error_kinds AS kind ON standing.error_type = kind.error_type
LEFT JOIN error_kinds AS trouble ON turns.failure_error = trouble.error_type
WHERE (standing.basis = 'wait' AND standing.phase = 'awaiting_quota')
    OR (
        standing.troubled
        AND (standing.purpose IS NULL OR standing.purpose <> 'compaction')
        AND (
            ((standing.basis = 'failure' OR standing.phase = 'upstream_failed') AND kind.cause = 'quota_or_auth')
            OR (standing.basis = 'wait' AND standing.phase = 'upstream_sent' AND trouble.cause = 'quota_or_auth')
        )
    )
