-- Events, newest first, with what stands of each at its destinations.
-- Each of these may be null, and then asks for nothing:
-- $1 text business_id   $2 text event_name   $3 timestamptz recorded since   $4 timestamptz recorded before
-- $5 bigint how many at most
select e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.value::text as value, e.currency,
       coalesce((select jsonb_object_agg(l.destination, l.state) from conversion_outbox.delivery_log l where l.event_no = e.event_no), '{}') as states
  from (select * from conversion_outbox.event
         where ($1::text is null or business_id = $1) and ($2::text is null or event_name = $2)
           and ($3::timestamptz is null or recorded_at >= $3) and ($4::timestamptz is null or recorded_at < $4)
         order by event_no desc
         limit $5) e
 order by e.event_no desc
