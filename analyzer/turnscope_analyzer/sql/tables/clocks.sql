-- clocks: what turns the monotonic times of a journal's process into its timeline.
CREATE TABLE clocks (
    process_id VARCHAR,
    wall_minus_mono_ns BIGINT
)
