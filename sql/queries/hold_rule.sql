-- Holds one conversion action or rule of a destination: no worker sends for it until the probe succeeds or a person resumes
-- it. A pause stays as it is.
-- $1 text destination   $2 text rule   $3 text reason   $4 text code   $5 text advice   $6 timestamptz next probe
insert into conversion_outbox.rule_hold as h (destination, rule, reason, code, advice, probe_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (destination, rule) do update
  set reason = excluded.reason, code = excluded.code, advice = excluded.advice, probe_at = excluded.probe_at
  where h.reason <> 'paused'
