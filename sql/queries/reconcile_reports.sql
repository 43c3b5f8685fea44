-- What platforms say they counted of an event, the latest word for each day, with the bounds of that day in its own zone: by the
-- rule of reconcile_bounds.sql, so that a midnight which comes twice begins the day with the first.
-- $1 text event name   $2 text[] destinations   $3 date first   $4 date last
select distinct on (destination, day)
       destination, day, time_zone, source, conversions::text as conversions, value::text as value, currency, ids, details, fetched_at,
       begins.first as begins_at, ends.first as ends_at
  from conversion_outbox.platform_report
 cross join lateral (
       select day::timestamp as midnight, day::timestamp at time zone time_zone as told) b
 cross join lateral (
       select case when (b.told - interval '1 hour') at time zone time_zone = b.midnight
                   then b.told - interval '1 hour' else b.told end as first) begins
 cross join lateral (
       select (day + 1)::timestamp as midnight, (day + 1)::timestamp at time zone time_zone as told) e
 cross join lateral (
       select case when (e.told - interval '1 hour') at time zone time_zone = e.midnight
                   then e.told - interval '1 hour' else e.told end as first) ends
 where event_name = $1 and destination = any ($2) and day between $3 and $4
 order by destination, day, fetched_at desc
