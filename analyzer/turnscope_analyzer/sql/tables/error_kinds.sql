-- error_kinds: the error kinds of turnscope.attributes and the cause that each points to.
CREATE TABLE error_kinds (
    error_type VARCHAR,
    cause VARCHAR
)
