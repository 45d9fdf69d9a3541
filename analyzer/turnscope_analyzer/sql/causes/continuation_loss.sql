-- continuation_loss: a step ended, and nobody went on with the turn.
-- reads:   standing(turn_id, state, basis, phase, troubled)
-- reads:   turns(turn_id, shows_requests)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- Only where there is no sign that the follow-up was sent: if it was, the request's own phase decides. A source that
-- does not write requests down cannot show that sign, so there it is only possible, and never for a wait that ended.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN NOT turns.shows_requests THEN 'continuation_loss.follow_up_not_on_file'
        WHEN standing.phase = 'tool_result' THEN 'continuation_loss.after_tool_result'
        WHEN standing.phase = 'denied' THEN 'continuation_loss.after_denial'
        WHEN standing.phase = 'compaction_completed' THEN 'continuation_loss.after_compaction'
        ELSE 'continuation_loss.after_response'
    END AS rule,
    CASE
        WHEN standing.state IN ('stuck', 'orphaned') AND turns.shows_requests THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
WHERE standing.troubled
    AND standing.phase IN ('tool_result', 'denied', 'upstream_completed', 'compaction_completed')
    AND (standing.basis = 'wait' OR (standing.basis = 'gap' AND turns.shows_requests))
