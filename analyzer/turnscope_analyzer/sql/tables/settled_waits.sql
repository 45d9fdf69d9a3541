-- settled_waits: the waits of settled turns that could make a limit longer; core/32_worst says what they are.
CREATE TABLE settled_waits (
    turn_id VARCHAR,
    phase VARCHAR,
    wait_ns BIGINT
)
