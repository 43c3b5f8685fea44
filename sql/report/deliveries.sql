-- What became of the events of a day at each destination, and which are still in the queue there.
-- $1 date
select destination, event_name, state, reason, deliveries, in_time, false as is_queued from conversion_outbox.delivery_day where day = $1
union all
select destination, event_name, 'pending', null, events, 0, true from conversion_outbox.queued_day where day = $1
 order by 1, 2, 3, 4
