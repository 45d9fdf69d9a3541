-- limits: how long a wait may last before it is slow, and before it is a stuck candidate.
-- reads:   processes(process_id)
-- reads:   vocabulary(phase, slow_after_ns, stuck_after_ns)
-- reads:   budgets(process_id, phase, slow_after_ns, stuck_after_ns)
-- reads:   usual(phase, p99_ns)
-- column:  process_id VARCHAR     -- the process that waits
-- column:  phase VARCHAR          -- the phase
-- column:  slow_after_ns BIGINT   -- NULL where no length of it is unusual
-- column:  stuck_after_ns BIGINT  -- NULL where no length of it is an error
-- grain:   one row per process and phase
--
-- What the user set holds as it is. A default gives way to three times this user's own p99, if that is longer.
SELECT
    process.process_id AS process_id,
    word.phase AS phase,
    CASE
        WHEN budget.phase IS NOT NULL THEN budget.slow_after_ns
        WHEN usual.p99_ns > word.slow_after_ns THEN usual.p99_ns
        ELSE word.slow_after_ns
    END AS slow_after_ns,
    CASE
        WHEN budget.phase IS NOT NULL THEN budget.stuck_after_ns
        WHEN usual.p99_ns * 3 > word.stuck_after_ns THEN usual.p99_ns * 3
        ELSE word.stuck_after_ns
    END AS stuck_after_ns
FROM processes AS process
CROSS JOIN vocabulary AS word
LEFT JOIN budgets AS budget ON process.process_id = budget.process_id AND word.phase = budget.phase
LEFT JOIN usual ON word.phase = usual.phase
