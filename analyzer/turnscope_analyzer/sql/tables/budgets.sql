-- budgets: limits that the gateway or the user set.
CREATE TABLE budgets (
    process_id VARCHAR,
    phase VARCHAR,
    slow_after_ns BIGINT,
    stuck_after_ns BIGINT
)
