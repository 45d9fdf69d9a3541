-- what is kept of segments: glance_parts with the segment's key in place of its path.
-- reads:   glance_parts(*), glance(turn_id, plain, alone), segment_keys(file, key), capture(plain_below_ns)
-- grain:   one row per file and turn; the variable kept_files names the segments
--
-- A turn that is plain by this row alone was so under the smallest budget of today: quiet_below_ns. It is plain under
-- any larger one, as long as it has no other row. For all others that is the largest number.
SELECT
    segment_keys.key,
    part.* EXCLUDE (file),
    CASE WHEN glance.plain AND glance.alone THEN capture.plain_below_ns ELSE 9223372036854775807 END
        AS quiet_below_ns
FROM glance_parts AS part
INNER JOIN segment_keys ON part.file = segment_keys.file
CROSS JOIN capture
LEFT JOIN glance ON part.turn_id = glance.turn_id
WHERE part.file IN (SELECT unnest(getvariable('kept_files')))
