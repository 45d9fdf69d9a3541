-- settled: judgements of today that are to be kept.
-- reads:   facts(*), rulings(turn_id, rule, confidence)
-- column:  the columns of settled, by name
-- grain:   one row per turn
SELECT
    facts.*,
    ruling.rule,
    ruling.confidence
FROM facts
INNER JOIN rulings AS ruling ON facts.turn_id = ruling.turn_id
