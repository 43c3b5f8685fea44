-- Which results stand already as this worker wrote them: asked after a commit whose answer was lost. A worker's own time to
-- the microsecond tells its results from another worker's.
-- One array a column: $1 event_no  $2 destination  $3 state  $4 tries  $5 tried_at, of the last request of the claim
-- $6 settled_at, of a final one  $7 due_at, of one that waits
-- Or the row has moved on since, by a late answer or another claim: then the attempts tell of it.
select r.event_no, r.destination
  from unnest($1::bigint[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
    as r (event_no, destination, state, tries, tried_at, settled_at, due_at)
  join conversion_outbox.delivery d on d.event_no = r.event_no and d.destination = r.destination
 where (d.state = r.state and d.tries = r.tries and d.settled_at is not distinct from r.settled_at
        and d.due_at is not distinct from r.due_at and (r.tried_at is null or d.tried_at = r.tried_at))
    or exists (select from conversion_outbox.attempt a
                where a.event_no = r.event_no and a.destination = r.destination and a.try_no = r.tries and a.tried_at = r.tried_at)
