-- Takes the one probe of a destination that is held or throttled, of all workers: the next one is due when this one must
-- have been answered.
-- $1 text name   $2 float8 how long a probe takes at most, seconds   $3 timestamptz the time, or null for the database's own clock
-- Returns whether it was taken, and since nobody else may: until when to wait; null when there is nothing on record.
with taken as (
  update conversion_outbox.destination
     set probe_at = case when probe_at is not null then coalesce($3, now()) + make_interval(secs => $2) end,
         throttled_until = case when throttled_until is not null then coalesce($3, now()) + make_interval(secs => $2) end
   where name = $1 and greatest(probe_at, throttled_until) <= coalesce($3, now())
  returning greatest(probe_at, throttled_until) as until
)
select exists (select from taken) as taken, coalesce((select until from taken), greatest(d.probe_at, d.throttled_until)) as until
  from conversion_outbox.destination d
 where d.name = $1
