-- calm: of each file what is kept of turns that were plain and need no look: how many, with how many marks, and the last of those.
CREATE TABLE calm (
    file VARCHAR,
    turns BIGINT,
    marks BIGINT,
    last_m BIGINT
)
