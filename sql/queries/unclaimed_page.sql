-- A page of what waits for one destination and no worker has looked at, in the order of its writing, for a run over many.
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code: it has neither   $5 text event_name
-- $6 text[] event ids   $7 timestamptz recorded since   $8 timestamptz recorded before   $9 bigint how many at most
-- $11 bigint the last row of the page before   $10, $12, $13 are of no use here
select u.event_no, u.event_id, u.event_name, u.occurred_at, u.action_source, u.depends_on, null::timestamptz as original_occurred_at,
       'pending' as state, null::text as reason, false as is_erased, false as answer_lost, null::timestamptz as first_tried_at,
       null::timestamptz as tried_at, u.recorded_at as page_at
  from conversion_outbox.unclaimed_delivery u
 where u.destination = $1 and coalesce($2, 'pending') = 'pending' and $3 is null and $4 is null
   and ($5 is null or u.event_name = $5) and ($6::text[] is null or u.event_id = any ($6))
   and u.recorded_at >= coalesce($7, '-infinity') and u.recorded_at < coalesce($8, 'infinity')
   and u.event_no > coalesce($11, 0)
 order by u.event_no
 limit $9
