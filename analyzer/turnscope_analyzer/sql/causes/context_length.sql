-- context_length: the window is exceeded, and this turn did not get a compaction that could help.
-- reads:   standing(turn_id, basis, purpose, error_type, troubled)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Where the compaction's own request met the limit it is the compaction's failure. A server that refuses a request for its
-- bytes is no judge of the window: pictures make a request large long before that.
SELECT
    standing.turn_id,
    CASE
        WHEN standing.error_type = 'request_too_large' THEN 'context_length.too_many_bytes'
        ELSE 'context_length.exceeded'
    END AS rule,
    CASE WHEN standing.basis = 'failure' THEN 'certain' ELSE 'likely' END AS confidence
FROM standing
INNER JOIN error_kinds AS kind ON standing.error_type = kind.error_type
WHERE standing.troubled
    AND kind.cause = 'context_length'
    AND (standing.purpose IS NULL OR standing.purpose <> 'compaction')
