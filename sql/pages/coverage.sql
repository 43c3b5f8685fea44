-- What events carried and what became of them, in one snapshot. kind is
--   signal    an event's name on a day of the last thirty: total events, and of them carried[]: click id, e-mail, phone, external
--             id, consent granted, denied, not asked
--   delivery  an event's name at a destination in the period: total deliveries by state and reason
--   queued    the same: events that nobody has decided about there
-- $1 date first day of all   $2 date first day of the period   $3 date last day of both
select 'signal' as kind, day, event_name, null as destination, null as state, null as reason, events as total,
       array[click_id, email, phone, external_id, consent_granted, consent_denied, consent_unspecified] as carried
  from conversion_outbox.event_day where day between $1 and $3
union all
select 'delivery', null, event_name, destination, state, nullif(reason, ''), sum(deliveries)::bigint, null
  from conversion_outbox.delivery_part where day between $2 and $3
 group by event_name, destination, state, reason
having sum(deliveries) <> 0
union all
select 'queued', null, event_name, destination, null, null, sum(events)::bigint, null
  from conversion_outbox.queued_day where day between $2 and $3
 group by event_name, destination
 order by 1, 3, 4, 2, 5, 6
