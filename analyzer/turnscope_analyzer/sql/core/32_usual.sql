-- usual: how long this user's healthy turns spend in a phase.
-- reads:   turn_phases(turn_id, phase, at_ns, turn_next_ns, silence_ns, busy, own)
-- reads:   lives(turn_id, ended_phase)
-- reads:   plain(turns)
-- column:  phase VARCHAR   -- the phase
-- column:  p99_ns BIGINT   -- the longest wait in it that 99 of 100 completed turns stay below
-- grain:   one row per phase; none while there are fewer than 100 completed turns
--
-- A plain turn has no wait that comes near a budget: it is counted, its waits need not be known.
WITH worst AS (
    SELECT
        phase.turn_id AS turn_id,
        phase.phase,
        max(coalesce(phase.silence_ns, phase.turn_next_ns - phase.at_ns)) AS wait_ns
    FROM turn_phases AS phase
    INNER JOIN lives ON phase.turn_id = lives.turn_id
    WHERE lives.ended_phase = 'completed' AND phase.own AND phase.busy = 0
    GROUP BY phase.turn_id, phase.phase
),

completed AS (
    SELECT count(*) + max(plain.turns) AS turns
    FROM lives
    CROSS JOIN plain
    WHERE lives.ended_phase = 'completed'
),

ranked AS (
    SELECT
        worst.phase,
        worst.wait_ns,
        row_number() OVER (PARTITION BY worst.phase ORDER BY worst.wait_ns DESC) AS place
    FROM worst
)

SELECT
    ranked.phase,
    max(ranked.wait_ns) AS p99_ns
FROM ranked
CROSS JOIN completed
WHERE completed.turns >= 100 AND ranked.place * 100 > completed.turns
GROUP BY ranked.phase
