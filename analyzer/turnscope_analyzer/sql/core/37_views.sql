-- views: what the clients that show a turn have seen of it.
-- reads:   turn_phases(turn_id, lane_kind, phase, at_ns, seq, process_id, terminal, lane_next_ns)
-- reads:   marks(turn_id, lane_kind, cursor, live_cursor)
-- column:  turn_id VARCHAR      -- the turn
-- column:  attached BIGINT      -- clients that are attached
-- column:  left_ns BIGINT       -- when the last one left
-- column:  left_seq BIGINT      -- the mark that says so
-- column:  came_ns BIGINT       -- when the last one came
-- column:  came_seq BIGINT      -- the mark that says so
-- column:  seen BIGINT          -- the furthest event that a client has seen, NULL where not counted
-- column:  sent BIGINT          -- events that the turn sent, NULL where not counted
-- grain:   one row per turn that a client has attached to
WITH moves AS (
    SELECT
        phase.turn_id,
        phase.phase,
        phase.at_ns,
        phase.seq,
        phase.terminal,
        phase.lane_next_ns,
        row_number() OVER (
            PARTITION BY phase.turn_id, phase.phase
            ORDER BY phase.at_ns DESC, phase.seq DESC, phase.process_id
        ) AS place
    FROM turn_phases AS phase
    WHERE phase.lane_kind = 'renderer'
),

clients AS (
    SELECT
        move.turn_id,
        count(*) FILTER (WHERE move.lane_next_ns IS NULL AND NOT move.terminal) AS attached,
        max(move.at_ns) FILTER (WHERE move.phase = 'renderer_detached') AS left_ns,
        max(move.seq) FILTER (WHERE move.phase = 'renderer_detached' AND move.place = 1) AS left_seq,
        max(move.at_ns) FILTER (WHERE move.phase = 'renderer_attached') AS came_ns,
        max(move.seq) FILTER (WHERE move.phase = 'renderer_attached' AND move.place = 1) AS came_seq
    FROM moves AS move
    GROUP BY move.turn_id
),

cursors AS (
    SELECT
        mark.turn_id,
        max(CASE WHEN mark.live_cursor > coalesce(mark.cursor, -1) THEN mark.live_cursor ELSE mark.cursor END)
        FILTER (WHERE mark.lane_kind = 'renderer') AS seen,
        max(mark.cursor) FILTER (WHERE mark.lane_kind = 'turn') AS sent
    FROM marks AS mark
    GROUP BY mark.turn_id
)

SELECT
    clients.turn_id AS turn_id,
    clients.attached,
    clients.left_ns,
    clients.left_seq,
    clients.came_ns,
    clients.came_seq,
    cursors.seen,
    cursors.sent
FROM clients
INNER JOIN cursors ON clients.turn_id = cursors.turn_id
