-- Every destination with its backlog, its hold and its totals, for the command status.
select b.destination, b.platform, b.enabled, b.hold_reason, b.hold_code, b.hold_advice, b.held_since, b.probe_at,
  b.pending::bigint as pending, b.due::bigint as due, b.retrying::bigint as retrying,
  extract(epoch from now() - b.oldest_due_at)::float8 as oldest_due_age,
  extract(epoch from now() - b.oldest_recorded_at)::float8 as oldest_pending_age,
  coalesce(t.totals, '{}') as totals, coalesce(t.retried, 0)::bigint as retried
from conversion_outbox.destination_backlog b
left join lateral (
  select jsonb_object_agg(state, total) as totals, sum(retried) as retried
    from conversion_outbox.destination_total where destination = b.destination) t on true
order by b.destination
