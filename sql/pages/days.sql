-- Events and deliveries of each day, in one snapshot. kind is event (total: events of that name; in_time is null) or delivery
-- (name: its destination; in_time: taken within 15 minutes of the commit). What nobody has
-- looked at yet is not among them: counting it takes as long as the queue is.
-- $1 date first day   $2 date last day
select 'event' as kind, day, event_name as name, null as state, sum(events)::bigint as total, null::bigint as in_time
  from conversion_outbox.event_day where day between $1 and $2
 group by day, event_name
union all
select 'delivery', day, destination, state, sum(deliveries)::bigint, sum(in_time)::bigint
  from conversion_outbox.delivery_part where day between $1 and $2
 group by day, destination, state
having sum(deliveries) <> 0
 order by 1, 2, 3, 4
