-- Adds what is new to the tallies; the function elects one session at a time. Returns how many rows of news that were.
-- $1 integer  rows of each kind at most
select conversion_outbox.fold_tallies($1) as folded
