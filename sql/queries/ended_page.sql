-- A page of one destination's dead letters, and of what an operator skipped, oldest first, for a run over many of them.
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code, '' for none   $5 text event_name   $6 text[] event ids
-- $7 timestamptz settled since   $8 timestamptz settled before   $9 bigint how many at most
-- $10 timestamptz, $11 bigint the last row of the page before   $12 timestamptz the start of the run: what it has done already,
-- and what has died again since, is not its business   $13 boolean whether what an operator skipped belongs to it
select f.event_no, f.event_id, f.event_name, f.occurred_at, f.action_source, f.depends_on, f.original_occurred_at, f.state, f.reason,
       f.is_erased, f.answer_lost, f.first_tried_at, f.tried_at, f.settled_at as page_at
  from conversion_outbox.delivery_facts f
 where f.destination = $1 and f.state in ('rejected', 'uncertain', 'exhausted', 'cancelled')
   and (f.state <> 'cancelled' or ($13 and f.reason = 'by_operator'))
   and ($2 is null or f.state = $2) and ($3 is null or f.reason = $3) and ($4 is null or coalesce(f.error_code, '') = $4)
   and ($5 is null or f.event_name = $5) and ($6::text[] is null or f.event_id = any ($6))
   and f.settled_at >= coalesce($7, '-infinity') and f.settled_at < coalesce($8, 'infinity')
   and (f.settled_at, f.event_no) > (coalesce($10, '-infinity'), coalesce($11, 0))
   and (f.replayed_at is null or f.replayed_at < $12)
 order by f.settled_at, f.event_no
 limit $9
