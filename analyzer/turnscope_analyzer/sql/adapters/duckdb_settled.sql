-- settled: kept judgements of turns of which everything is as it was.
-- reads:   stamps(turn_id, stamp)
-- column:  the columns of settled, by name
-- grain:   one row per turn; the variable settled_file names the Parquet file
SELECT kept.* EXCLUDE (stamp, usual_key, waits)
FROM read_parquet(getvariable('settled_file')) AS kept
INNER JOIN stamps ON kept.turn_id = stamps.turn_id AND kept.stamp = stamps.stamp
