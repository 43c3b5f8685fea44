-- Gives away the next turns of a limit: the moments from the first free one on, evenly spaced. Whoever asks first is first, so
-- that all who want more than there is get the same share. Beyond the horizon nothing is given away.
-- $1 text         name of the limit
-- $2 integer      turns at most
-- $3 float8       seconds from one turn to the next
-- $4 integer      how many may come at once after a pause
-- $5 float8       horizon, seconds
-- $6 timestamptz  the time, or null for the database's own clock
-- Returns in how many seconds the first turn is (less than nought: it is credit) and whether it was given away.
with held as materialized (
  select l.name, coalesce($6, now()) as now,
         -- No turn was ever given away further ahead than this: the clock went back.
         case when l.next_at > coalesce($6, now()) + make_interval(secs => 2 * $5 + $2 * $3 + 60)
              then coalesce($6, now())
              else greatest(l.next_at, coalesce($6, now()) - make_interval(secs => ($4 - 1) * $3)) end as first_at
    from conversion_outbox.rate_limit l
   where l.name = $1
     for update
),
given as (
  update conversion_outbox.rate_limit l
     set next_at = h.first_at + make_interval(secs => $2 * $3)
    from held h
   where l.name = h.name and h.first_at <= h.now + make_interval(secs => $5)
  returning l.name
)
select extract(epoch from h.first_at - h.now)::float8 as wait, exists (select from given) as given
  from held h
