-- what is kept of judgements: settled with the stamp that they hold for, and their long waits.
-- reads:   settled(*), settled_waits(turn_id, phase, wait_ns), stamps(turn_id, stamp)
-- grain:   one row per turn; the variable usual_key stands for the usual waits that they were judged by
SELECT
    stamps.stamp,
    getvariable('usual_key') AS usual_key,
    settled.*,
    long.waits
FROM settled
INNER JOIN stamps ON settled.turn_id = stamps.turn_id
LEFT JOIN (
    SELECT
        wait.turn_id,
        list({phase: wait.phase, wait_ns: wait.wait_ns}) AS waits
    FROM settled_waits AS wait
    GROUP BY wait.turn_id
) AS long ON settled.turn_id = long.turn_id
