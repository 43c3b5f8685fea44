-- Every destination as it stands: backlog and hold, who serves it, dead letters and held rules.
select b.destination, b.platform, b.enabled, b.hold_reason, b.hold_code, b.hold_advice, b.held_since,
       b.throttled_until > now() as is_throttled, b.pending::bigint as pending, b.due::bigint as due, b.expiring::bigint as expiring,
       extract(epoch from now() - b.oldest_due_at)::float8 as oldest_due_age,
       n.last_seen_at, extract(epoch from now() - n.last_seen_at)::float8 as unseen_for,
       exists (select from conversion_outbox.live_destination l where l.name = b.destination) as is_live,
       dead.dead::bigint as dead, rules.held_rules::bigint as held_rules
  from conversion_outbox.destination_backlog b
  join conversion_outbox.destination n on n.name = b.destination
 cross join lateral (
   select coalesce(sum(p.deliveries), 0) as dead from conversion_outbox.delivery_part p
    where p.destination = b.destination and p.state in ('rejected', 'uncertain', 'exhausted')) dead
 cross join lateral (
   select count(*) as held_rules from conversion_outbox.rule_hold r where r.destination = b.destination) rules
 order by b.destination
