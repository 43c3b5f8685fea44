-- Counts what was there before the tallies were. A migration of its own: the triggers need a lock for a moment, and the count
-- reads whole tables, which must not happen under that lock. Workers and applications go on meanwhile.
set local role conversion_outbox_owner;

select conversion_outbox.recount_tallies();

-- For lists of dead letters: the first and the last of those that died of the same, without reading the others.
-- Made here, after the count: workers wait while it is made, and applications do not.
create index delivery_dead_by_cause on conversion_outbox.delivery (destination, state, reason, (coalesce(error_code, '')), settled_at, event_no)
  where state in ('rejected', 'uncertain', 'exhausted');
