-- what is kept of segments, from several Parquet files in one, without what nobody needs any more.
-- reads:   segment_keys(key)
-- grain:   one row per file and turn; the variable glance_files names the Parquet files
--
-- As in each file by itself, a turn that has another row is not plain by one of them: see adapters/duckdb_keep.
WITH needed AS (
    SELECT kept.*
    FROM read_parquet(getvariable('glance_files')) AS kept
    WHERE kept.key IN (SELECT segment_keys.key FROM segment_keys)
)

SELECT
    needed.* EXCLUDE (quiet_below_ns),
    CASE WHEN several.turn_id IS NULL THEN needed.quiet_below_ns ELSE 9223372036854775807 END AS quiet_below_ns
FROM needed
LEFT JOIN (
    SELECT other.turn_id
    FROM needed AS other
    GROUP BY other.turn_id
    HAVING count(*) > 1
) AS several ON needed.turn_id = several.turn_id
