-- files: the segments that are read, and whose they are.
-- The stamp stands for all that a verdict on the file's turns rests on, its process included; it is a sum's part, so it
-- has 48 bits. NULL while the file or that may still change.
CREATE TABLE files (
    file VARCHAR,
    process_id VARCHAR,
    stamp BIGINT
)
