-- plain: one row: how many turns plainly went well and were not looked at closely.
CREATE TABLE plain (
    turns BIGINT
)
