-- freezes: times in which a process did not run; they are nobody's wait.
CREATE TABLE freezes (
    process_id VARCHAR,
    from_ns BIGINT,
    until_ns BIGINT
)
