-- processes: what is known of each process that left marks.
CREATE TABLE processes (
    process_id VARCHAR,
    source VARCHAR,
    fate VARCHAR,
    horizon_ns BIGINT,
    shows_requests BOOLEAN,
    shows_ends BOOLEAN
)
