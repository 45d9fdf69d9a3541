-- glance_parts: what one pass over a file can tell of each turn in it; core/10_glance_parts says what the columns are.
CREATE TABLE glance_parts (
    file VARCHAR,
    turn_id VARCHAR,
    first_m BIGINT,
    last_m BIGINT,
    completed_m BIGINT,
    unseen_m BIGINT,
    accepts BIGINT,
    attaches BIGINT,
    detaches BIGINT,
    troubles BIGINT,
    notes BIGINT,
    breaks BIGINT,
    marks BIGINT
)
