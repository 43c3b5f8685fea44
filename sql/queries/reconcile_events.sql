-- Events of a span of time, and what became of them.
-- $1 text event name   $2 timestamptz from   $3 timestamptz to, excluded   $4 bigint how many at most
select event_id, business_id, occurred_at, value::text as value, currency, has_conflict, is_queued, standings
  from conversion_outbox.reconciliation_event
 where event_name = $1 and occurred_at >= $2 and occurred_at < $3
 limit $4
