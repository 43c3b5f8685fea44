-- Takes the one probe of a rule that is held, of all workers.
-- $1 text destination   $2 text rule   $3 float8 how long a probe takes at most, seconds
-- $4 timestamptz the time, or null for the database's own clock
-- Returns whether it was taken, and until when others wait; no row when the rule is not held any more.
with taken as (
  update conversion_outbox.rule_hold
     set probe_at = coalesce($4, now()) + make_interval(secs => $3)
   where destination = $1 and rule = $2 and probe_at <= coalesce($4, now())
  returning probe_at as until
)
select exists (select from taken) as taken, coalesce((select until from taken), h.probe_at) as until
  from conversion_outbox.rule_hold h
 where h.destination = $1 and h.rule = $2
