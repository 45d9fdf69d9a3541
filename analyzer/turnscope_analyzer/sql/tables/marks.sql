-- marks: turn T reached phase P on lane L at time t, from any source.
-- The attributes are those of turnscope.attributes that a rule reads; the live_ figures come from the life file of the
-- mark's process.
CREATE TABLE marks (
    turn_id VARCHAR,
    session_id VARCHAR,
    lane VARCHAR,
    lane_kind VARCHAR,
    phase VARCHAR,
    at_ns BIGINT,
    seq BIGINT,
    process_id VARCHAR,
    error_type VARCHAR,
    purpose VARCHAR,
    step BIGINT,
    result VARCHAR,
    cursor BIGINT,
    chunks BIGINT,
    progress_at BIGINT,
    max_gap BIGINT,
    resumed BOOLEAN,
    recovered BOOLEAN,
    escalated BOOLEAN,
    traced BOOLEAN,
    live_chunks BIGINT,
    live_progress_at BIGINT,
    live_keepalives BIGINT,
    live_cursor BIGINT
)
