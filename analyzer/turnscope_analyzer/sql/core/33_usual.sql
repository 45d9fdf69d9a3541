-- usual: how long this user's healthy turns spend in a phase.
-- reads:   worst(phase, wait_ns), settled_waits(phase, wait_ns)
-- reads:   lives(ended_phase), settled(ended_phase)
-- reads:   plain(turns)
-- column:  phase VARCHAR   -- the phase
-- column:  p99_ns BIGINT   -- the longest wait in it that 99 of 100 completed turns stay below
-- grain:   one row per phase; none while there are fewer than 100 completed turns
--
-- A plain turn has no wait that comes near a budget: it is counted, its waits need not be known. Of settled turns only
-- waits that could make a limit longer are known; those that are left out are all shorter, so no place changes.
WITH waits_of_all AS (
    SELECT
        worst.phase,
        worst.wait_ns
    FROM worst
    UNION ALL
    SELECT
        settled_waits.phase,
        settled_waits.wait_ns
    FROM settled_waits
),

completed AS (
    SELECT sum(ended.turns) AS turns
    FROM (
        SELECT CAST(count(*) AS BIGINT) AS turns FROM lives WHERE lives.ended_phase = 'completed'
        UNION ALL
        SELECT CAST(count(*) AS BIGINT) AS turns FROM settled WHERE settled.ended_phase = 'completed'
        UNION ALL
        SELECT plain.turns AS turns FROM plain
    ) AS ended
),

ranked AS (
    SELECT
        wait.phase,
        wait.wait_ns,
        row_number() OVER (PARTITION BY wait.phase ORDER BY wait.wait_ns DESC) AS place
    FROM waits_of_all AS wait
)

SELECT
    ranked.phase,
    max(ranked.wait_ns) AS p99_ns
FROM ranked
CROSS JOIN completed
WHERE completed.turns >= 100 AND ranked.place * 100 > completed.turns
GROUP BY ranked.phase
