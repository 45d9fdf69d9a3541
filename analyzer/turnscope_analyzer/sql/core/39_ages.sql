-- ages: how long each wait has lasted at the horizon of its process.
-- reads:   waits(turn_id, phase, silent_ns, process_id)
-- reads:   processes(process_id, horizon_ns)
-- reads:   lives(turn_id, recovered_ns)
-- reads:   freezes(process_id, from_ns, until_ns)
-- reads:   limits(process_id, phase, slow_after_ns, stuck_after_ns)
-- column:  turn_id VARCHAR        -- the turn
-- column:  age_ns BIGINT          -- since the last progress, without the time in which the process did not run
-- column:  slow_after_ns BIGINT   -- the limits of the phase
-- column:  stuck_after_ns BIGINT  -- NULL where no length of it is an error
-- grain:   one row per wait
--
-- A turn that its process left open waits no longer than that process lived, whoever goes on with its session.
WITH horizons AS (
    SELECT
        wait.turn_id AS turn_id,
        CASE WHEN lives.recovered_ns IS NOT NULL THEN lives.recovered_ns ELSE process.horizon_ns END AS horizon_ns
    FROM waits AS wait
    INNER JOIN lives ON wait.turn_id = lives.turn_id
    INNER JOIN processes AS process ON wait.process_id = process.process_id
),

frozen AS (
    SELECT
        wait.turn_id AS turn_id,
        CAST(sum(
            CASE WHEN pause.until_ns < life.horizon_ns THEN pause.until_ns ELSE life.horizon_ns END
            - CASE WHEN pause.from_ns > wait.silent_ns THEN pause.from_ns ELSE wait.silent_ns END
        ) AS BIGINT) AS frozen_ns
    FROM waits AS wait
    INNER JOIN horizons AS life ON wait.turn_id = life.turn_id
    INNER JOIN freezes AS pause
        ON wait.process_id = pause.process_id
        AND pause.from_ns < life.horizon_ns
        AND pause.until_ns > wait.silent_ns
    GROUP BY wait.turn_id
)

SELECT
    wait.turn_id AS turn_id,
    CASE
        WHEN life.horizon_ns < wait.silent_ns THEN 0
        WHEN frozen.frozen_ns > 0 THEN life.horizon_ns - wait.silent_ns - frozen.frozen_ns
        ELSE life.horizon_ns - wait.silent_ns
    END AS age_ns,
    limits.slow_after_ns,
    limits.stuck_after_ns
FROM waits AS wait
INNER JOIN horizons AS life ON wait.turn_id = life.turn_id
INNER JOIN limits ON wait.process_id = limits.process_id AND wait.phase = limits.phase
LEFT JOIN frozen ON wait.turn_id = frozen.turn_id
