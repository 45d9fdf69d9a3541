-- segment_keys: what tells a segment at rest from any other file, and from itself after a change.
CREATE TABLE segment_keys (
    file VARCHAR,
    key BIGINT
)
