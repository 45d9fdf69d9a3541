-- lives: where each turn stands on its own lane.
-- reads:   turn_phases(turn_id, lane_kind, phase, at_ns, seq, resumed, terminal, lane_next_ns)
-- reads:   marks(turn_id, session_id, lane_kind, phase, at_ns, recovered, traced)
-- column:  turn_id VARCHAR       -- the turn
-- column:  session_id VARCHAR    -- its session
-- column:  accepted_ns BIGINT    -- when it was accepted, NULL where that is not on file
-- column:  ended_phase VARCHAR   -- its terminal phase, NULL while it has none
-- column:  ended_ns BIGINT       -- when it ended
-- column:  ended_seq BIGINT      -- the mark that ended it
-- column:  worked_ns BIGINT      -- the last mark of a request, a tool or other work
-- column:  closing_ns BIGINT     -- lanes that opened before this are closed: the turn ended or was taken over
-- column:  recovered_ns BIGINT   -- last life of its process, where recover() closed the turn and nobody went on with it
-- column:  traced BOOLEAN        -- spans alone tell of it: headers, and requests without one, are not on file
-- grain:   one row per turn
WITH turn_lane AS (
    SELECT
        phase.turn_id,
        max(phase.at_ns) FILTER (WHERE phase.terminal OR phase.resumed) AS closing_ns,
        max(phase.phase) FILTER (WHERE phase.lane_next_ns IS NULL AND phase.terminal) AS ended_phase,
        max(phase.at_ns) FILTER (WHERE phase.lane_next_ns IS NULL AND phase.terminal) AS ended_ns,
        max(phase.seq) FILTER (WHERE phase.lane_next_ns IS NULL AND phase.terminal) AS ended_seq
    FROM turn_phases AS phase
    WHERE phase.lane_kind = 'turn'
    GROUP BY phase.turn_id
),

all_marks AS (
    SELECT
        mark.turn_id,
        max(mark.session_id) AS session_id,
        min(mark.at_ns) FILTER (WHERE mark.phase = 'accepted') AS accepted_ns,
        max(mark.at_ns) FILTER (WHERE mark.lane_kind NOT IN ('turn', 'renderer', 'cancel')) AS worked_ns,
        max(mark.at_ns) FILTER (WHERE mark.recovered) AS recovered_ns,
        max(mark.at_ns) FILTER (WHERE coalesce(mark.recovered, FALSE) = FALSE) AS written_ns,
        count(*) FILTER (WHERE mark.traced) > 0 AS traced
    FROM marks AS mark
    GROUP BY mark.turn_id
)

SELECT
    turn.turn_id AS turn_id,
    turn.session_id,
    turn.accepted_ns,
    lane.ended_phase,
    lane.ended_ns,
    lane.ended_seq,
    turn.worked_ns,
    lane.closing_ns,
    CASE
        WHEN lane.ended_phase IS NULL AND (turn.written_ns IS NULL OR turn.written_ns <= turn.recovered_ns)
            THEN turn.recovered_ns
    END AS recovered_ns,
    turn.traced
FROM all_marks AS turn
LEFT JOIN turn_lane AS lane ON turn.turn_id = lane.turn_id
