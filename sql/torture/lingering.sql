-- Transactions of workers that have been open for too long.
-- $1 text the workers' application_name   $2 float8 seconds
select pid, state, extract(epoch from clock_timestamp() - xact_start)::float8 as seconds
  from pg_stat_activity
 where application_name = $1 and xact_start < clock_timestamp() - make_interval(secs => $2)
