-- marks: journal lines of the turns that matter, as marks.
-- column:  the columns of marks, by name
-- reads:   windows(turn_id), clocks(process_id, wall_minus_mono_ns)
-- reads:   slots(process_id, seq, chunks, progress_at, keepalives, cursor)
-- grain:   one row per mark; the variable mark_lines names the files of lines
--
-- Times lie on the timeline of the mark's process: its monotonic clock, counted from its wall clock at its start; NULL
-- where no header names the process. A mark that a later segment repeats, or that lies there twice, counts once.
WITH lines AS (
    SELECT
        line.* EXCLUDE (attrs),
        unnest(line.attrs)
    FROM read_json(
        getvariable('mark_lines'),
        columns = {
            turn: 'VARCHAR', session: 'VARCHAR', lane: 'VARCHAR', phase: 'VARCHAR', m: 'BIGINT', seq: 'BIGINT',
            proc: 'VARCHAR',
            attrs: 'STRUCT(
                error_type VARCHAR, purpose VARCHAR, step BIGINT, result VARCHAR, cursor BIGINT,
                chunks BIGINT, progress_at BIGINT, max_gap BIGINT, resumed BOOLEAN, recovered BOOLEAN,
                escalated BOOLEAN, traced BOOLEAN
            )'
        },
        format = 'newline_delimited',
        ignore_errors = true,
        maximum_object_size = 262144
    ) AS line
    WHERE line.turn IN (SELECT windows.turn_id FROM windows)
        AND line.lane IS NOT NULL
        AND line.proc IS NOT NULL
        AND line.seq IS NOT NULL
),

once AS (
    SELECT
        line.*,
        row_number() OVER (PARTITION BY line.proc, line.seq ORDER BY line.m, line.turn, line.phase) AS place
    FROM lines AS line
)

SELECT
    line.turn AS turn_id,
    line.session AS session_id,
    line.lane,
    split_part(line.lane, ':', 1) AS lane_kind,
    line.phase,
    line.m + clock.wall_minus_mono_ns AS at_ns,
    line.seq,
    line.proc AS process_id,
    line.* EXCLUDE (turn, session, lane, phase, m, seq, proc, progress_at, place),
    CASE WHEN line.progress_at BETWEEN 0 AND 4611686018427387903 THEN line.progress_at + clock.wall_minus_mono_ns END
        AS progress_at,
    slot.chunks AS live_chunks,
    slot.progress_at + clock.wall_minus_mono_ns AS live_progress_at,
    slot.keepalives AS live_keepalives,
    slot.cursor AS live_cursor
FROM once AS line
LEFT JOIN clocks AS clock ON line.proc = clock.process_id
LEFT JOIN slots AS slot ON line.proc = slot.process_id AND line.seq = slot.seq
WHERE line.place = 1
