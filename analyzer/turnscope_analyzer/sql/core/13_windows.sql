-- windows: where the marks of the turns that need a closer look lie.
-- reads:   glance(turn_id, plain), glance_parts(file, turn_id, first_m, last_m, marks)
-- reads:   settled(turn_id)
-- column:  file VARCHAR     -- the file
-- column:  turn_id VARCHAR  -- the turn
-- column:  first_m BIGINT   -- monotonic ns of its first mark there
-- column:  last_m BIGINT    -- and of its last
-- column:  marks BIGINT     -- how many it has there
-- grain:   one row per file and turn that is neither plain nor settled
SELECT
    part.file,
    part.turn_id AS turn_id,
    part.first_m,
    part.last_m,
    part.marks
FROM glance_parts AS part
INNER JOIN glance ON part.turn_id = glance.turn_id
LEFT JOIN settled ON part.turn_id = settled.turn_id
WHERE NOT glance.plain AND settled.turn_id IS NULL
