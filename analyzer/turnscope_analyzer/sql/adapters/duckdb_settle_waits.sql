-- settled_waits: waits of the turns whose judgements are to be kept, as far as they could make a limit longer.
-- reads:   worst(*), rulings(turn_id), vocabulary(phase, slow_after_ns, stuck_after_ns)
-- column:  the columns of settled_waits, by name
-- grain:   one row per turn and phase
SELECT worst.*
FROM worst
INNER JOIN rulings ON worst.turn_id = rulings.turn_id
INNER JOIN vocabulary AS word ON worst.phase = word.phase
WHERE worst.wait_ns > word.slow_after_ns OR worst.wait_ns * 3 > word.stuck_after_ns
