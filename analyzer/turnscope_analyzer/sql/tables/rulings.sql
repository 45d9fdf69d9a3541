-- rulings: the rules that decide the turns whose judgement is to be kept.
CREATE TABLE rulings (
    turn_id VARCHAR,
    rule VARCHAR,
    confidence VARCHAR
)
