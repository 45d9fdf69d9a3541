-- calm: of each file what is kept of turns that were plain.
-- reads:   kept_parts(file, marks, last_m, quiet_below_ns)
-- column:  the columns of calm, by name
-- grain:   one row per file; the variable plain_below_ns is the one of capture
SELECT
    kept_parts.file,
    count(*) AS turns,
    sum(kept_parts.marks) AS marks,
    max(kept_parts.last_m) AS last_m
FROM kept_parts
WHERE kept_parts.quiet_below_ns <= getvariable('plain_below_ns')
GROUP BY kept_parts.file
