-- capture: one row: what holds for all that is read.
CREATE TABLE capture (
    plain_below_ns BIGINT
)
