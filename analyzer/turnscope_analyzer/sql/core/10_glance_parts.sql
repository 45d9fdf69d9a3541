-- glance_parts: what one pass over a file can tell of each turn in it.
-- reads:   scan(file, turn_id, phase, m_ns, note)
-- column:  file VARCHAR          -- the file
-- column:  turn_id VARCHAR       -- NULL in the one row a file that counts what is no mark
-- column:  first_m BIGINT        -- monotonic ns of its first mark here
-- column:  last_m BIGINT         -- and of its last
-- column:  completed_m BIGINT    -- when it was completed, NULL where it was not
-- column:  unseen_m BIGINT       -- when a client first left it, NULL where none did
-- column:  accepts BIGINT        -- marks that accepted it
-- column:  attaches BIGINT       -- clients that came
-- column:  detaches BIGINT       -- clients that left
-- column:  troubles BIGINT       -- marks that call for a closer look
-- column:  notes BIGINT          -- records that are no marks
-- column:  breaks BIGINT         -- those of them that tell of a clock that was set or a process that stood still
-- column:  marks BIGINT          -- records in all
-- grain:   one row per file and turn
--
-- Every column can be merged over files by min, max or sum: closed segments keep their rows in the cache.
SELECT
    scan.file,
    scan.turn_id,
    min(scan.m_ns) AS first_m,
    max(scan.m_ns) AS last_m,
    max(CASE WHEN scan.phase = 'completed' THEN scan.m_ns END) AS completed_m,
    min(CASE WHEN scan.phase = 'renderer_detached' THEN scan.m_ns END) AS unseen_m,
    count(*) FILTER (WHERE scan.phase = 'accepted') AS accepts,
    count(*) FILTER (WHERE scan.phase = 'renderer_attached') AS attaches,
    count(*) FILTER (WHERE scan.phase = 'renderer_detached') AS detaches,
    count(*) FILTER (WHERE scan.phase IN ('failed', 'cancelled', 'interrupted', 'cancel_requested')) AS troubles,
    count(*) FILTER (WHERE scan.note IS NOT NULL) AS notes,
    count(*) FILTER (WHERE scan.note IN ('gap', 'step')) AS breaks,
    count(*) AS marks
FROM scan
GROUP BY scan.file, scan.turn_id
