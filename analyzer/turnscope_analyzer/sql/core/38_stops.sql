-- stops: what a stop that somebody asked for came to.
-- reads:   turn_phases(turn_id, lane_kind, at_ns, live_progress_at_ns, own)
-- reads:   marks(turn_id, phase, at_ns, seq, process_id, result)
-- reads:   lives(turn_id, ended_phase, ended_ns)
-- column:  turn_id VARCHAR       -- the turn
-- column:  result VARCHAR        -- one of the cancel results
-- grain:   one row per turn that somebody asked to stop
--
-- A stop is believed by what the turn does, not by what is said of it: one that is reported as cancelled while
-- the turn goes on is still running. Without a report, the turn's own end decides.
WITH moves AS (
    SELECT
        mark.turn_id,
        mark.phase,
        mark.at_ns,
        mark.seq,
        mark.result,
        row_number() OVER (
            PARTITION BY mark.turn_id, mark.phase
            ORDER BY mark.at_ns DESC, mark.seq DESC, mark.process_id
        ) AS place
    FROM marks AS mark
    WHERE mark.phase IN ('cancel_requested', 'cancel_result')
),

requests AS (
    SELECT
        move.turn_id,
        max(move.at_ns) FILTER (WHERE move.phase = 'cancel_result') AS reported_ns,
        max(move.result) FILTER (WHERE move.phase = 'cancel_result' AND move.place = 1) AS reported
    FROM moves AS move
    GROUP BY move.turn_id
),

work AS (
    SELECT
        phase.turn_id,
        max(CASE
            WHEN phase.live_progress_at_ns > phase.at_ns THEN phase.live_progress_at_ns
            ELSE phase.at_ns
        END) AS last_ns
    FROM turn_phases AS phase
    WHERE phase.own AND phase.lane_kind <> 'turn'
    GROUP BY phase.turn_id
)

SELECT
    request.turn_id AS turn_id,
    CASE
        WHEN request.reported = 'cancelled'
            AND (
                (lives.ended_phase IS NULL AND work.last_ns > request.reported_ns)
                OR (lives.ended_phase = 'completed' AND lives.ended_ns > request.reported_ns)
            )
            THEN 'still_running'
        WHEN request.reported IS NOT NULL THEN request.reported
        WHEN lives.ended_phase IN ('cancelled', 'interrupted') THEN 'cancelled'
        WHEN lives.ended_phase IS NOT NULL THEN 'already_completed'
        ELSE 'unknown'
    END AS result
FROM requests AS request
INNER JOIN lives ON request.turn_id = lives.turn_id
LEFT JOIN work ON request.turn_id = work.turn_id
