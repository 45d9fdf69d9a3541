-- settled_waits: the long waits of the turns in settled.
-- reads:   settled(turn_id)
-- column:  the columns of settled_waits, by name
-- grain:   one row per turn and phase; the variable settled_file names the Parquet file
SELECT
    kept.turn_id,
    unnest(kept.waits, recursive := true)
FROM read_parquet(getvariable('settled_file')) AS kept
WHERE kept.waits IS NOT NULL AND kept.turn_id IN (SELECT settled.turn_id FROM settled)
