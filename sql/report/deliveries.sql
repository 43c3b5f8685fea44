-- What became of the events of a day at each destination; queued events, which have no delivery yet, have no reason.
-- $1 date
select destination, event_name, state, reason, deliveries, in_time from conversion_outbox.delivery_day where day = $1
union all
select destination, event_name, 'pending', null, events, 0 from conversion_outbox.queued_day where day = $1
 order by 1, 2, 3, 4
