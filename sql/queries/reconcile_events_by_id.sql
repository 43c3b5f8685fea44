-- The same for events of whatever time, by business id or by their own.
-- $1 text event name   $2 text[] ids
select event_id, business_id, occurred_at, value::text as value, currency, has_conflict, is_queued, standings
  from conversion_outbox.reconciliation_event
 where event_name = $1 and (business_id = any ($2) or event_id = any ($2))
