-- strides: the marks of turns that took long, as much of each as tells its waits.
-- reads:   unhurried(turn_id, process_id), vocabulary(phase)
-- column:  turn_id VARCHAR   -- the turn
-- column:  slice BIGINT      -- in which slice of time, each as long as the smallest budget; NULL where it has no place
-- column:  m_ns BIGINT       -- monotonic ns, NULL for a mark that does not end a wait: a client that looks on, a stop
-- column:  silent_ns BIGINT  -- the longest silence of a stream that it tells of, NULL where it tells of none
-- column:  sound BOOLEAN     -- it is what core/20_turn_phases would take it for
-- grain:   one row per mark; the variable mark_lines names the segments, plain_below_ns is the one of capture
WITH lines AS (
    SELECT
        line.* EXCLUDE (attrs),
        unnest(line.attrs),
        unhurried.process_id
    FROM read_json(
        getvariable('mark_lines'),
        columns = {
            turn: 'VARCHAR', lane: 'VARCHAR', phase: 'VARCHAR', m: 'BIGINT', seq: 'BIGINT', proc: 'VARCHAR',
            attrs: 'STRUCT(chunks BIGINT, progress_at BIGINT, max_gap BIGINT, recovered BOOLEAN)'
        },
        format = 'newline_delimited',
        ignore_errors = true,
        maximum_object_size = 262144
    ) AS line
    INNER JOIN unhurried ON line.turn = unhurried.turn_id
),

told AS (
    SELECT
        line.turn AS turn_id,
        line.lane NOT IN ('renderer', 'cancel')
        AND NOT starts_with(line.lane, 'renderer:')
        AND NOT starts_with(line.lane, 'cancel:') AS own,
        line.m AS m_ns,
        CASE WHEN line.chunks > 0 THEN greatest(line.max_gap, line.m - line.progress_at) END AS silent_ns,
        coalesce(
            line.m BETWEEN 0 AND 4611686018427387903
            AND coalesce(line.progress_at BETWEEN 0 AND 4611686018427387903, TRUE)
            AND line.lane IS NOT NULL
            AND line.seq IS NOT NULL
            AND line.proc = line.process_id
            AND NOT coalesce(line.recovered, FALSE)
            AND line.phase IN (SELECT vocabulary.phase FROM vocabulary),
            FALSE
        ) AS sound
    FROM lines AS line
)

SELECT
    told.turn_id,
    CASE WHEN told.own AND told.sound THEN told.m_ns // getvariable('plain_below_ns') END AS slice,
    CASE WHEN told.own AND told.sound THEN told.m_ns END AS m_ns,
    CASE WHEN told.own AND told.sound THEN told.silent_ns END AS silent_ns,
    told.sound
FROM told
