-- glance_parts: what was kept of turns that were plain, and have to be looked at with what else there is of them.
-- reads:   kept_parts(*), glance_parts(turn_id)
-- column:  the columns of glance_parts, by name
-- grain:   one row per file and turn; the variable plain_below_ns is the one of capture, the variable closely the begin
--          of the ids of turns that are asked for
SELECT kept_parts.* EXCLUDE (quiet_below_ns)
FROM kept_parts
WHERE kept_parts.quiet_below_ns <= getvariable('plain_below_ns')
    AND (
        kept_parts.turn_id IN (SELECT part.turn_id FROM glance_parts AS part)
        OR kept_parts.turn_id IN (
            SELECT other.turn_id
            FROM kept_parts AS other
            WHERE other.quiet_below_ns <= getvariable('plain_below_ns')
            GROUP BY other.turn_id
            HAVING count(*) > 1
        )
        OR starts_with(kept_parts.turn_id, CAST(getvariable('closely') AS VARCHAR))
    )
