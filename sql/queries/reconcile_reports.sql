-- What platforms say they counted of an event, the latest word for each day, with the bounds of that day in its own zone.
-- $1 text event name   $2 text[] destinations   $3 date first   $4 date last
select distinct on (destination, day)
       destination, day, time_zone, source, conversions::text as conversions, value::text as value, currency, ids, details, fetched_at,
       day::timestamp at time zone time_zone as begins_at, (day + 1)::timestamp at time zone time_zone as ends_at
  from conversion_outbox.platform_report
 where event_name = $1 and destination = any ($2) and day between $3 and $4
 order by destination, day, fetched_at desc
