-- detachment: the turn goes on or has ended, and no client knows.
-- reads:   standing(turn_id, basis, troubled)
-- reads:   turns(turn_id, attached, ended_phase, seen, sent)
-- column:  turn_id VARCHAR     -- the turn
-- column:  rule VARCHAR        -- the rule that claims it
-- column:  confidence VARCHAR  -- certain, likely or possible
-- grain:   one row per turn that this cause can claim
--
-- The durable record went on after the view stopped: that is what tells it from a stall. Certain where cursors show
-- that the end was never seen; a client that left may have left on purpose.
SELECT
    standing.turn_id AS turn_id,
    CASE
        WHEN turns.attached > 0 THEN 'detachment.client_behind'
        WHEN turns.ended_phase IS NULL THEN 'detachment.running_unseen'
        ELSE 'detachment.ended_unseen'
    END AS rule,
    CASE
        WHEN turns.seen < turns.sent THEN 'certain'
        WHEN turns.ended_phase IS NOT NULL THEN 'likely'
        ELSE 'possible'
    END AS confidence
FROM standing
INNER JOIN turns ON standing.turn_id = turns.turn_id
WHERE standing.troubled AND standing.basis = 'view'
