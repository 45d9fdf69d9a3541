-- scan: the marks of journal segments, as much of each as a glance needs.
-- column:  file VARCHAR     -- the segment
-- column:  turn_id VARCHAR  -- NULL for what is no mark
-- column:  phase VARCHAR    -- the phase that was reached
-- column:  m_ns BIGINT      -- monotonic ns
-- column:  note VARCHAR     -- what kind of note, NULL for a mark and for what is neither
-- grain:   one row per line; the variable segment_files names the files
--
-- A line that is no JSON comes as a row of NULLs: it is counted here, and found by the reader of the file.
-- The object size bounds memory; the format's longest line is 64 KiB.
SELECT
    line.filename AS file,
    CASE WHEN line.phase IS NOT NULL AND line.m BETWEEN 0 AND 4611686018427387903 THEN line.turn END AS turn_id,
    line.phase,
    line.m AS m_ns,
    line.turnscope AS note
FROM read_json(
    getvariable('segment_files'),
    columns = {turn: 'VARCHAR', phase: 'VARCHAR', m: 'BIGINT', turnscope: 'VARCHAR'},
    format = 'newline_delimited',
    ignore_errors = true,
    maximum_object_size = 262144,
    filename = true
) AS line
