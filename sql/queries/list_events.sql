-- Events, newest first, each with its state at every destination.
-- $1 text business_id   $2 text event_name   $3 timestamptz recorded since   $4 timestamptz recorded before   $5 bigint how many
select e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.value::text as value, e.currency, e.source, e.depends_on,
       coalesce((select jsonb_object_agg(l.destination, concat_ws('/', l.state, l.reason))
                   from conversion_outbox.delivery_log l where l.event_no = e.event_no), '{}') as states
  from conversion_outbox.event_log e
 where ($1 is null or e.business_id = $1) and ($2 is null or e.event_name = $2)
   and e.recorded_at >= coalesce($3, '-infinity') and e.recorded_at < coalesce($4, 'infinity')
 order by e.event_no desc
 limit $5
