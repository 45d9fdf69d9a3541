-- glance_parts: what was kept of segments that are still the same.
-- reads:   segment_keys(file, key)
-- column:  the columns of glance_parts, by name
-- grain:   one row per file and turn; the variable kept_files names the Parquet files
SELECT
    segment_keys.file,
    kept.* EXCLUDE (key)
FROM read_parquet(getvariable('kept_files')) AS kept
INNER JOIN segment_keys ON kept.key = segment_keys.key
