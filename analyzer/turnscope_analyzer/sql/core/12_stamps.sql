-- stamps: what the verdict on a turn rests on, for turns that need a closer look and whose records are all at rest.
-- reads:   glance(turn_id, plain), glance_parts(file, turn_id)
-- reads:   files(file, stamp)
-- column:  turn_id VARCHAR  -- the turn
-- column:  stamp BIGINT     -- the same as long as nothing of that changes
-- grain:   one row per such turn
SELECT
    part.turn_id AS turn_id,
    CAST(sum(file.stamp) AS BIGINT) AS stamp
FROM glance_parts AS part
INNER JOIN glance ON part.turn_id = glance.turn_id
INNER JOIN files AS file ON part.file = file.file
WHERE NOT glance.plain
GROUP BY part.turn_id
HAVING count(file.stamp) = count(*)
