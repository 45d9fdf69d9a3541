-- steady: turns that are known to have had no long wait, and of which everything is as it was.
-- reads:   stamps(turn_id, stamp)
-- column:  turn_id VARCHAR  -- the turn
-- grain:   one row per turn; the variable steady_file names the Parquet file
--
-- The stamp stands for the limits of the turn's process, so a wait that was short is short today.
SELECT kept.turn_id
FROM read_parquet(getvariable('steady_file')) AS kept
INNER JOIN stamps ON kept.turn_id = stamps.turn_id AND kept.stamp = stamps.stamp
