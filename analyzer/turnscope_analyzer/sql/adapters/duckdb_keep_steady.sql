-- what is kept of turns that took long and had no long wait: the stamp that this holds for.
-- reads:   stamps(turn_id, stamp), glance(turn_id, plain)
-- grain:   one row per turn
SELECT
    stamps.turn_id,
    stamps.stamp
FROM stamps
INNER JOIN glance ON stamps.turn_id = glance.turn_id
WHERE glance.plain
