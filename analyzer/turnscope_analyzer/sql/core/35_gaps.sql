-- gaps: the longest wait that is over, for turns where one was unusually long.
-- reads:   turn_phases(turn_id, lane, phase, at_ns, seq, process_id, purpose, turn_next_ns, silence_ns, busy, own)
-- reads:   limits(process_id, phase, slow_after_ns, stuck_after_ns)
-- reads:   freezes(process_id, from_ns, until_ns)
-- column:  turn_id VARCHAR       -- the turn
-- column:  lane VARCHAR          -- where it waited
-- column:  phase VARCHAR         -- in which phase
-- column:  since_ns BIGINT       -- from when
-- column:  gap_ns BIGINT         -- how long, without the time in which the process did not run
-- column:  overdue BOOLEAN       -- it was past its stuck budget before it was over
-- column:  seq BIGINT            -- the mark that opened it
-- column:  purpose VARCHAR       -- of the request it belongs to
-- grain:   one row per turn with such a wait
--
-- A running tool and a quota wait are not the turn's slowness: busy is 0.
WITH closed AS (
    SELECT
        phase.turn_id,
        phase.lane,
        phase.phase AS phase,
        phase.at_ns,
        phase.turn_next_ns,
        phase.seq,
        phase.process_id AS process_id,
        phase.purpose,
        limits.slow_after_ns,
        limits.stuck_after_ns,
        coalesce(phase.silence_ns, phase.turn_next_ns - phase.at_ns) AS gap_ns
    FROM turn_phases AS phase
    INNER JOIN limits ON phase.process_id = limits.process_id AND phase.phase = limits.phase
    WHERE phase.own
        AND phase.busy = 0
        AND coalesce(phase.silence_ns, phase.turn_next_ns - phase.at_ns) >= limits.slow_after_ns
),

frozen AS (
    SELECT
        closed.turn_id AS turn_id,
        closed.seq AS seq,
        closed.process_id AS process_id,
        CAST(sum(
            CASE WHEN pause.until_ns < closed.turn_next_ns THEN pause.until_ns ELSE closed.turn_next_ns END
            - CASE WHEN pause.from_ns > closed.at_ns THEN pause.from_ns ELSE closed.at_ns END
        ) AS BIGINT) AS frozen_ns
    FROM closed
    INNER JOIN freezes AS pause
        ON closed.process_id = pause.process_id
        AND pause.from_ns < closed.turn_next_ns
        AND pause.until_ns > closed.at_ns
    GROUP BY closed.turn_id, closed.seq, closed.process_id
),

thawed AS (
    SELECT
        closed.turn_id AS turn_id,
        closed.lane,
        closed.phase,
        closed.at_ns AS since_ns,
        CASE WHEN frozen.frozen_ns > 0 THEN closed.gap_ns - frozen.frozen_ns ELSE closed.gap_ns END AS gap_ns,
        closed.seq AS seq,
        closed.process_id AS process_id,
        closed.purpose,
        closed.slow_after_ns,
        closed.stuck_after_ns
    FROM closed
    LEFT JOIN frozen
        ON closed.turn_id = frozen.turn_id AND closed.seq = frozen.seq AND closed.process_id = frozen.process_id
),

ranked AS (
    SELECT
        thawed.*,
        row_number() OVER (
            PARTITION BY thawed.turn_id
            ORDER BY thawed.gap_ns DESC, thawed.seq, thawed.process_id
        ) AS place
    FROM thawed
    WHERE thawed.gap_ns >= thawed.slow_after_ns
)

SELECT
    ranked.turn_id,
    ranked.lane,
    ranked.phase,
    ranked.since_ns,
    ranked.gap_ns,
    coalesce(ranked.gap_ns >= ranked.stuck_after_ns, FALSE) AS overdue,
    ranked.seq,
    ranked.purpose
FROM ranked
WHERE ranked.place = 1
