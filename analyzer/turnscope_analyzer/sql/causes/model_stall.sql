-- model_stall: the provider answered, then sent nothing more.
-- reads:   standing(turn_id, state, basis, phase, purpose, error_type, troubled)
-- reads:   turns(turn_id, keepalives, shows_requests)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Headers prove that the request arrived. Keepalives prove that the connection lives: they are not progress, so a
-- stream of nothing else is the model's silence for certain. A compaction's request belongs to the compaction. Where
-- headers are not on file at all, a request without an answer may as well be transport's: it is only possible.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN standing.basis = 'failure' AND standing.error_type = 'answer_timeout' THEN 'model_stall.answer_timeout'
        WHEN standing.basis = 'failure' THEN 'model_stall.idle_timeout'
        WHEN turns.keepalives > 0 THEN 'model_stall.keepalives_only'
        WHEN standing.basis = 'gap' AND NOT turns.shows_requests AND standing.phase IN ('upstream_sent', 'first_event')
            THEN 'model_stall.slow_answer'
        WHEN standing.phase = 'upstream_sent' THEN 'model_stall.no_answer_on_file'
        WHEN standing.phase = 'response_headers' THEN 'model_stall.after_headers'
        WHEN standing.phase = 'first_byte' THEN 'model_stall.after_first_byte'
        WHEN standing.phase = 'first_event' THEN 'model_stall.before_first_item'
        ELSE 'model_stall.mid_stream'
    END AS rule,
    CASE
        WHEN standing.basis = 'failure' AND standing.error_type = 'answer_timeout' THEN 'likely'
        WHEN standing.basis = 'failure' THEN 'certain'
        WHEN standing.state IN ('stuck', 'orphaned') AND turns.keepalives > 0 THEN 'certain'
        WHEN standing.phase = 'upstream_sent' THEN 'possible'
        WHEN standing.state IN ('stuck', 'orphaned') THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
LEFT JOIN error_kinds AS kind ON standing.error_type = kind.error_type
WHERE standing.troubled
    AND (standing.purpose IS NULL OR standing.purpose <> 'compaction')
    AND (
        (
            standing.basis IN ('wait', 'gap')
            AND standing.phase IN ('response_headers', 'first_byte', 'first_event', 'first_item')
        )
        OR (
            standing.basis IN ('wait', 'gap')
            AND standing.phase = 'upstream_sent'
            AND NOT turns.shows_requests
        )
        OR (
            (standing.basis = 'failure' OR standing.phase = 'upstream_failed')
            AND kind.cause = 'model_stall'
        )
    )
