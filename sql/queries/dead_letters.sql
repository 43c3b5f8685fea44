-- Dead letters, newest first. For each destination the index by time is read from its end, so history costs nothing.
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code, '' for none   $5 text event_name   $6 text[] event ids
-- $7 timestamptz settled since   $8 timestamptz settled before   $9 bigint how many at most; each but the last may be null
-- $10 timestamptz settled at, $11 bigint event, $12 text destination: the last one of the page before, or null
select d.*
  from conversion_outbox.destination n
 cross join lateral (
   select f.event_no, f.event_id, f.event_name, f.business_id, f.destination, f.state, f.reason, f.error_code, f.response_code,
          f.tries, f.attempts, f.first_tried_at, f.tried_at, f.settled_at, f.replayed_at
     from conversion_outbox.delivery_facts f
    where f.destination = n.name and f.state in ('rejected', 'uncertain', 'exhausted', 'cancelled') and f.state <> 'cancelled'
      and ($2 is null or f.state = $2) and ($3 is null or f.reason = $3) and ($4 is null or coalesce(f.error_code, '') = $4)
      and ($5 is null or f.event_name = $5) and ($6::text[] is null or f.event_id = any ($6))
      and f.settled_at >= coalesce($7, '-infinity') and f.settled_at < coalesce($8, 'infinity')
      and (f.settled_at, f.event_no) <= (coalesce($10, 'infinity'), coalesce($11, 9223372036854775807))
      and ($10 is null or (f.settled_at, f.event_no) <> ($10, $11) or n.name > $12)
    order by f.settled_at desc, f.event_no desc
    limit $9) d
 where $1 is null or n.name = $1
 order by d.settled_at desc, d.event_no desc, d.destination
 limit $9
