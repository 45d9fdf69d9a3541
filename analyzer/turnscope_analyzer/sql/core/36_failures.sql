-- failures: the last thing that went wrong in a turn and was not put right.
-- reads:   turn_phases(turn_id, lane, phase, at_ns, seq, process_id, error_type, purpose)
-- reads:   error_kinds(error_type, cause)
-- column:  turn_id VARCHAR     -- the turn
-- column:  lane VARCHAR        -- where it failed
-- column:  phase VARCHAR       -- the phase that says so
-- column:  at_ns BIGINT        -- when
-- column:  seq BIGINT          -- the mark
-- column:  error_type VARCHAR  -- why, NULL where it does not say
-- column:  purpose VARCHAR     -- compaction, where it was the compaction's request
-- column:  failed_attempts BIGINT -- requests that failed in a row
-- grain:   one row per turn with such a failure
--
-- A failed request is put right by one that completes; a failed compaction by one that completes. The turn's own
-- failed mark only says that it ended: the failure before it says why, unless there is none, or none that points to a
-- cause. A bare 400 does not, where the turn's own error says that its window was exceeded.
WITH outcomes AS (
    SELECT
        phase.turn_id,
        max(phase.at_ns) FILTER (WHERE phase.phase = 'upstream_completed') AS upstream_ok_ns,
        max(phase.at_ns) FILTER (WHERE phase.phase = 'compaction_completed') AS compaction_ok_ns,
        max(phase.at_ns) FILTER (WHERE phase.phase = 'hydration_completed') AS hydration_ok_ns
    FROM turn_phases AS phase
    GROUP BY phase.turn_id
),

unresolved AS (
    SELECT
        phase.turn_id AS turn_id,
        phase.lane,
        phase.phase,
        phase.at_ns,
        phase.seq,
        phase.process_id,
        phase.error_type AS error_type,
        phase.purpose,
        kind.cause,
        CASE
            WHEN phase.phase IN ('compaction_failed', 'hydration_failed') THEN 1
            WHEN phase.phase = 'upstream_failed' THEN 2
            ELSE 3
        END AS place
    FROM turn_phases AS phase
    INNER JOIN outcomes AS ok ON phase.turn_id = ok.turn_id
    LEFT JOIN error_kinds AS kind ON phase.error_type = kind.error_type
    WHERE (phase.phase = 'upstream_failed' AND (ok.upstream_ok_ns IS NULL OR ok.upstream_ok_ns < phase.at_ns))
        OR (phase.phase = 'compaction_failed' AND (ok.compaction_ok_ns IS NULL OR ok.compaction_ok_ns < phase.at_ns))
        OR (phase.phase = 'hydration_failed' AND (ok.hydration_ok_ns IS NULL OR ok.hydration_ok_ns < phase.at_ns))
        OR phase.phase = 'failed'
),

ranked AS (
    SELECT
        failure.*,
        row_number() OVER (
            PARTITION BY failure.turn_id
            ORDER BY
                CASE WHEN failure.cause IS NULL OR failure.cause = 'unknown' THEN 1 ELSE 0 END,
                failure.place,
                failure.at_ns DESC,
                failure.seq DESC,
                failure.process_id
        ) AS choice,
        count(*) FILTER (WHERE failure.phase = 'upstream_failed') OVER (
            PARTITION BY failure.turn_id
        ) AS failed_attempts
    FROM unresolved AS failure
)

SELECT
    ranked.turn_id,
    ranked.lane,
    ranked.phase,
    ranked.at_ns,
    ranked.seq,
    ranked.error_type,
    ranked.purpose,
    ranked.failed_attempts
FROM ranked
WHERE ranked.choice = 1
