-- worst: the longest wait in each phase of each completed turn.
-- reads:   turn_phases(turn_id, phase, at_ns, turn_next_ns, silence_ns, busy, own)
-- reads:   lives(turn_id, ended_phase)
-- column:  turn_id VARCHAR  -- the turn
-- column:  phase VARCHAR    -- the phase
-- column:  wait_ns BIGINT   -- NULL where nothing followed it
-- grain:   one row per turn and phase
--
-- A running tool and a quota wait are not the turn's slowness: busy is 0.
SELECT
    phase.turn_id AS turn_id,
    phase.phase,
    max(coalesce(phase.silence_ns, phase.turn_next_ns - phase.at_ns)) AS wait_ns
FROM turn_phases AS phase
INNER JOIN lives ON phase.turn_id = lives.turn_id
WHERE lives.ended_phase = 'completed' AND phase.own AND phase.busy = 0
GROUP BY phase.turn_id, phase.phase
