-- The destinations that a run may concern, and the time at which it begins.
-- $1 text destination, or null for all
select coalesce(array_agg(name order by name), '{}') as names, now() as now
  from conversion_outbox.destination where $1 is null or name = $1
