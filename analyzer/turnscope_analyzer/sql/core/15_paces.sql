-- paces: how long the longest wait of a turn can have been at most.
-- reads:   strides(turn_id, slice, m_ns, silent_ns, sound)
-- reads:   unhurried(turn_id, marks)
-- column:  turn_id VARCHAR    -- the turn
-- column:  longest_ns BIGINT  -- no wait of its own work, and no silence of a stream in it, was longer
-- grain:   one row per turn of which every mark is sound
--
-- Marks are put together by slices of time, so that neighbours need no ordering of all marks: two in one slice are no
-- further apart than its ends, two in different ones as far as the slices' ends. A silent stream can hide behind the
-- marks of other lanes, so what a stream says of its silence counts by itself.
WITH slices AS (
    SELECT
        stride.turn_id,
        stride.slice,
        min(stride.m_ns) AS first_m,
        max(stride.m_ns) AS last_m,
        max(stride.silent_ns) AS silent_ns,
        count(*) FILTER (WHERE stride.sound) AS sound_marks
    FROM strides AS stride
    GROUP BY stride.turn_id, stride.slice
),

waits AS (
    SELECT
        slice.turn_id,
        slice.last_m - slice.first_m AS within_ns,
        lead(slice.first_m) OVER (PARTITION BY slice.turn_id ORDER BY slice.slice) - slice.last_m AS until_next_ns,
        slice.silent_ns,
        slice.sound_marks
    FROM slices AS slice
),

longest AS (
    SELECT
        wait.turn_id,
        max(wait.within_ns) AS within_ns,
        max(wait.until_next_ns) AS until_next_ns,
        max(wait.silent_ns) AS silent_ns,
        sum(wait.sound_marks) AS sound_marks
    FROM waits AS wait
    GROUP BY wait.turn_id
)

SELECT
    longest.turn_id AS turn_id,
    CASE
        WHEN longest.silent_ns > longest.within_ns AND longest.silent_ns > coalesce(longest.until_next_ns, 0)
            THEN longest.silent_ns
        WHEN longest.until_next_ns > longest.within_ns THEN longest.until_next_ns
        ELSE longest.within_ns
    END AS longest_ns
FROM longest
INNER JOIN unhurried ON longest.turn_id = unhurried.turn_id
WHERE longest.sound_marks = unhurried.marks
