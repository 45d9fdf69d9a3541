-- files: the segments that are read, and whose they are.
CREATE TABLE files (
    file VARCHAR,
    process_id VARCHAR
)
