-- unhurried: turns that went well and took long, so that only their waits can tell whether one was too long.
-- reads:   glance(turn_id, well, plain), glance_parts(file, turn_id, marks)
-- reads:   files(file, process_id)
-- reads:   settled(turn_id)
-- column:  turn_id VARCHAR     -- the turn
-- column:  process_id VARCHAR  -- the process whose files they are
-- column:  marks BIGINT        -- its marks in all of them
-- grain:   one row per such turn that is not settled
SELECT
    part.turn_id AS turn_id,
    max(file.process_id) AS process_id,
    CAST(sum(part.marks) AS BIGINT) AS marks
FROM glance_parts AS part
INNER JOIN files AS file ON part.file = file.file
INNER JOIN glance ON part.turn_id = glance.turn_id
LEFT JOIN settled ON part.turn_id = settled.turn_id
WHERE glance.well AND NOT glance.plain AND settled.turn_id IS NULL
GROUP BY part.turn_id
