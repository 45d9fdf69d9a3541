-- vocabulary: the phases of turnscope.phases, with their default limits and their order among open lanes.
CREATE TABLE vocabulary (
    phase VARCHAR,
    terminal BOOLEAN,
    slow_after_ns BIGINT,
    stuck_after_ns BIGINT,
    wait_rank BIGINT
)
