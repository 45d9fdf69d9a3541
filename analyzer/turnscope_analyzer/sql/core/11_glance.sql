-- glance: which turns plainly went well, so that only the others need a closer look.
-- reads:   glance_parts(file, turn_id, first_m, completed_m, unseen_m, accepts, attaches, detaches, troubles)
-- reads:   files(file, process_id)
-- reads:   capture(plain_below_ns)
-- column:  turn_id VARCHAR   -- the turn
-- column:  well BOOLEAN      -- completed by one process, and seen by its clients
-- column:  plain BOOLEAN     -- that, and in less time than any budget
-- column:  alone BOOLEAN     -- all its marks lie in one file
-- grain:   one row per turn
--
-- A turn shorter than the smallest budget cannot hold a wait that is past its budget, whatever happened in it.
WITH summed AS (
    SELECT
        part.turn_id,
        coalesce(
            sum(part.accepts) > 0
            AND sum(part.troubles) = 0
            AND min(file.process_id) = max(file.process_id)
            AND max(part.completed_m) IS NOT NULL
            AND sum(part.attaches) = sum(part.detaches)
            AND (min(part.unseen_m) IS NULL OR min(part.unseen_m) >= max(part.completed_m)),
            FALSE
        ) AS well,
        max(part.completed_m) - min(part.first_m) AS length_ns,
        count(*) = 1 AS alone
    FROM glance_parts AS part
    INNER JOIN files AS file ON part.file = file.file
    WHERE part.turn_id IS NOT NULL
    GROUP BY part.turn_id
)

SELECT
    summed.turn_id,
    summed.well,
    summed.well AND summed.length_ns < capture.plain_below_ns AS plain,
    summed.alone
FROM summed
CROSS JOIN capture
