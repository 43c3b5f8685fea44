-- A page of what waits for one destination and no worker holds, in the order in which it falls due, for a run over many.
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code, '' for none   $5 text event_name   $6 text[] event ids
-- $7 timestamptz recorded since   $8 timestamptz recorded before   $9 bigint how many at most
-- $10 timestamptz, $11 bigint the last row of the page before   $12, $13 are of no use here
select f.event_no, f.event_id, f.event_name, f.occurred_at, f.action_source, f.depends_on, f.original_occurred_at, f.state, f.reason,
       f.is_erased, f.answer_lost, f.first_tried_at, f.tried_at, f.due_at as page_at
  from conversion_outbox.delivery_facts f
 where f.destination = $1 and f.state = 'pending'
   and ((f.lease_until is null and f.intent_at is null)
     -- Nobody serves the destination any more.
     or (f.lease_until < now() - interval '10 minutes'
         and not exists (select from conversion_outbox.live_destination n where n.name = f.destination)))
   and ($2 is null or f.state = $2) and ($3 is null or f.reason = $3) and ($4 is null or coalesce(f.error_code, '') = $4)
   and ($5 is null or f.event_name = $5) and ($6::text[] is null or f.event_id = any ($6))
   and f.recorded_at >= coalesce($7, '-infinity') and f.recorded_at < coalesce($8, 'infinity')
   and (f.due_at, f.event_no) > (coalesce($10, '-infinity'), coalesce($11, 0))
 order by f.due_at, f.event_no
 limit $9
