-- Takes what nobody has counted yet of repeats, for metrics: no other worker counts it.
-- $1 integer  how many of them at most
select duplicates, conflicts, is_more from conversion_outbox.take_repeats($1)
