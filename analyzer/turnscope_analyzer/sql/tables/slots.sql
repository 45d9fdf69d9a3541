-- slots: live figures of open phases, from the life files; times are monotonic.
CREATE TABLE slots (
    process_id VARCHAR,
    seq BIGINT,
    chunks BIGINT,
    progress_at BIGINT,
    keepalives BIGINT,
    cursor BIGINT
)
