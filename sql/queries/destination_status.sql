-- Every destination with its backlog, its holds and its totals, for the command status. Served: some worker said so within
-- the last ten minutes.
select b.destination, b.platform, b.enabled, n.last_seen_at, n.last_seen_at > now() - interval '10 minutes' as is_served, b.hold_reason, b.hold_code, b.hold_advice, b.held_since,
  nullif(b.probe_at, '9999-12-31 00:00:00+00') as probe_at,
  b.pending::bigint as pending, b.due::bigint as due, b.retrying::bigint as retrying,
  extract(epoch from now() - b.oldest_due_at)::float8 as oldest_due_age,
  extract(epoch from now() - b.oldest_recorded_at)::float8 as oldest_pending_age,
  coalesce(t.totals, '{}') as totals, coalesce(t.retried, 0)::bigint as retried,
  b.expiring::bigint as expiring, r.unconfirmed::bigint as unconfirmed, coalesce(h.rules, '[]') as rules
from conversion_outbox.destination_backlog b
join conversion_outbox.destination n on n.name = b.destination
left join lateral (
  select jsonb_object_agg(state, total) as totals, sum(retried) as retried
    from conversion_outbox.destination_total where destination = b.destination) t on true
left join lateral (
  select count(*) as unconfirmed from conversion_outbox.request where destination = b.destination and settled_at is null) r on true
left join lateral (
  select jsonb_agg(jsonb_build_object('rule', rule, 'code', code, 'advice', advice, 'since', held_since, 'probe_at', nullif(probe_at, '9999-12-31 00:00:00+00'))
           order by rule) as rules
    from conversion_outbox.rule_hold where destination = b.destination) h on true
order by b.destination
