-- Every destination with its hold or pause, and those of its rules. Served: some worker said so within the last ten minutes.
select d.name, d.platform, d.enabled, d.last_seen_at, d.last_seen_at > now() - interval '10 minutes' as is_served, d.hold_reason, d.hold_code, d.hold_advice, d.held_since,
  nullif(d.probe_at, '9999-12-31 00:00:00+00') as probe_at, d.paused_by, d.paused_because,
  coalesce((select jsonb_agg(jsonb_build_object('rule', r.rule, 'reason', r.reason, 'code', r.code, 'advice', r.advice,
              'since', to_char(r.held_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
              'next_probe', to_char(nullif(r.probe_at, '9999-12-31 00:00:00+00') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
              'paused_by', r.paused_by, 'paused_because', r.paused_because) order by r.rule)
     from conversion_outbox.rule_hold r where r.destination = d.name), '[]') as rules
from conversion_outbox.destination d
order by d.name
