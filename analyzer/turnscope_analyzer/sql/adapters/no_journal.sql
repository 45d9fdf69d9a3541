-- scan: no marks at all, where no journal is read.
-- column:  file VARCHAR, turn_id VARCHAR, phase VARCHAR, m_ns BIGINT, note VARCHAR
-- grain:   no rows
SELECT
    files.file,
    NULL::VARCHAR AS turn_id,
    NULL::VARCHAR AS phase,
    NULL::BIGINT AS m_ns,
    NULL::VARCHAR AS note
FROM files
WHERE FALSE
