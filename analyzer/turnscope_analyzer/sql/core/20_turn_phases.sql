-- turn_phases: every phase of a turn with what came next, on its lane and in its turn.
-- reads:   marks(turn_id, lane, lane_kind, phase, at_ns, seq, process_id, purpose, step, error_type)
-- reads:   marks(chunks, max_gap, resumed, recovered, escalated)
-- reads:   marks(live_chunks, progress_at, live_progress_at, live_keepalives)
-- reads:   vocabulary(phase, terminal)
-- column:  turn_id VARCHAR          -- the turn
-- column:  lane VARCHAR             -- the lane
-- column:  lane_kind VARCHAR        -- its kind
-- column:  phase VARCHAR            -- the phase that was reached
-- column:  at_ns BIGINT             -- when
-- column:  seq BIGINT               -- the mark, with process_id
-- column:  process_id VARCHAR       -- the process that wrote it
-- column:  error_type VARCHAR       -- why it failed, NULL where it did not or does not say
-- column:  resumed BOOLEAN          -- the turn goes on in another process from here
-- column:  escalated BOOLEAN        -- it may wait for a person, which is not on file
-- column:  terminal BOOLEAN         -- the phase ends its lane
-- column:  purpose VARCHAR          -- turn or compaction, of the lane's request; a compaction serves itself
-- column:  step BIGINT              -- of the lane's request, NULL where there is none
-- column:  lane_next_ns BIGINT      -- next mark on the lane, NULL while it is the last
-- column:  turn_next_ns BIGINT      -- next mark of the turn's own work, NULL while it is the last
-- column:  silence_ns BIGINT        -- longest silence until the lane's next mark, if the stream was counted
-- column:  live_progress_at_ns BIGINT -- last chunk of the phase, from the life file
-- column:  live_keepalives BIGINT   -- keepalives of the phase, from the life file
-- column:  busy BIGINT              -- tool calls and quota waits that were open at that time
-- column:  own BOOLEAN              -- the turn's own work: not a client that looks on, not a stop
-- grain:   one row per mark, without those that recover() wrote for a process that is gone
SELECT
    mark.turn_id,
    mark.lane,
    mark.lane_kind,
    mark.phase AS phase,
    mark.at_ns,
    mark.seq,
    mark.process_id,
    mark.error_type,
    coalesce(mark.resumed, FALSE) AS resumed,
    coalesce(mark.escalated, FALSE) AS escalated,
    word.terminal,
    CASE WHEN mark.lane_kind = 'compaction' THEN 'compaction' ELSE max(mark.purpose) OVER lane_order END AS purpose,
    max(mark.step) OVER lane_order AS step,
    lead(mark.at_ns) OVER lane_order AS lane_next_ns,
    lead(mark.at_ns) OVER own_order AS turn_next_ns,
    CASE
        WHEN lead(mark.chunks) OVER lane_order > 0
            THEN CASE
                WHEN lead(mark.max_gap) OVER lane_order > lead(mark.at_ns - mark.progress_at) OVER lane_order
                    THEN lead(mark.max_gap) OVER lane_order
                ELSE lead(mark.at_ns - mark.progress_at) OVER lane_order
            END
    END AS silence_ns,
    CASE WHEN mark.live_chunks > 0 THEN mark.live_progress_at END AS live_progress_at_ns,
    mark.live_keepalives,
    CAST(sum(CASE
        WHEN mark.phase IN ('tool_call', 'awaiting_quota') THEN 1
        WHEN mark.phase IN ('tool_result', 'quota_restored') THEN -1
        ELSE 0
    END) OVER own_order AS BIGINT) AS busy,
    mark.lane_kind NOT IN ('renderer', 'cancel') AS own
FROM marks AS mark
INNER JOIN vocabulary AS word ON mark.phase = word.phase
WHERE coalesce(mark.recovered, FALSE) = FALSE
WINDOW
    lane_order AS (PARTITION BY mark.turn_id, mark.lane ORDER BY mark.at_ns, mark.seq, mark.process_id),
    own_order AS (
        PARTITION BY mark.turn_id, mark.lane_kind NOT IN ('renderer', 'cancel')
        ORDER BY mark.at_ns, mark.seq, mark.process_id
    )
