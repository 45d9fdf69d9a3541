-- what is kept of segments, from several Parquet files in one, without what nobody needs any more.
-- reads:   segment_keys(key)
-- grain:   one row per file and turn; the variable glance_files names the Parquet files
SELECT kept.*
FROM read_parquet(getvariable('glance_files')) AS kept
WHERE kept.key IN (SELECT segment_keys.key FROM segment_keys)
