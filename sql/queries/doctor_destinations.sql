-- Every registered destination: when a worker last served it, and what of it is held.
select d.name, d.platform, extract(epoch from now() - d.last_seen_at)::float8 as seen_ago,
  d.hold_reason, d.hold_code, d.hold_advice, d.held_since,
  coalesce((select jsonb_agg(jsonb_build_object('rule', r.rule, 'code', r.code, 'advice', r.advice, 'since', r.held_since)
             order by r.rule)
     from conversion_outbox.rule_hold r where r.destination = d.name), '[]') as rules
from conversion_outbox.destination d
