-- kept_parts: what was kept of segments that are still the same.
-- reads:   segment_keys(file, key)
-- column:  the columns of glance_parts, and quiet_below_ns: the turn is plain under a smallest budget of that or more
-- grain:   one row per file and turn; the variable glance_files names the Parquet files
SELECT
    segment_keys.file,
    kept.* EXCLUDE (key)
FROM read_parquet(getvariable('glance_files')) AS kept
INNER JOIN segment_keys ON kept.key = segment_keys.key
