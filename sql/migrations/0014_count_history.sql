-- Counts what was there before the tallies were. A migration of its own: the triggers need a lock for a moment, and the count
-- reads whole tables, which must not happen under that lock. Workers and applications go on meanwhile.
set local role conversion_outbox_owner;

select conversion_outbox.recount_tallies();
