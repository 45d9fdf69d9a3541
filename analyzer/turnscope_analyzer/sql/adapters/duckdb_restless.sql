-- glance_parts: what was kept of turns that were not plain.
-- reads:   kept_parts(*)
-- column:  the columns of glance_parts, by name
-- grain:   one row per file and turn; the variable plain_below_ns is the one of capture
SELECT kept_parts.* EXCLUDE (quiet_below_ns)
FROM kept_parts
WHERE kept_parts.quiet_below_ns > getvariable('plain_below_ns')
