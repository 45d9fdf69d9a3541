-- what is kept of segments: glance_parts with the segment's key in place of its path.
-- reads:   glance_parts(*), segment_keys(file, key)
-- grain:   one row per file and turn; the variable kept_files names the segments
SELECT
    segment_keys.key,
    part.* EXCLUDE (file)
FROM glance_parts AS part
INNER JOIN segment_keys ON part.file = segment_keys.file
WHERE list_contains(getvariable('kept_files'), part.file)
