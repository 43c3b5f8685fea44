-- Writes what a platform said later of a request, and moves its deliveries, only for the holder of the current lease.
-- $1 text destination   $2 text receipt   $3 integer claim_no
-- $4 text status: the platform's word   $5 jsonb reasons with counts   $6 timestamptz when to ask again, null when final
-- $7 text state of its deliveries from here on, null while they stay as they are   $8 text reason   $9 text error_code
-- $10 timestamptz due_at, for deliveries that wait again   $11 timestamptz the time of settling
-- $12 boolean whether their next requests may be half as large only   $13 smallint slot of totals
-- $14 boolean whether the wait counts as a failed attempt   $15 boolean whether some of them may be counted already
-- Returns the deliveries that were moved.
with held as materialized (
  update conversion_outbox.request r
     set asked = r.asked + 1, status = coalesce($4, r.status), reasons = coalesce($5, r.reasons), due_at = $6,
         settled_at = case when $6 is null then $11 end, lease_until = null
   where r.destination = $1 and r.receipt = $2 and r.claim_no = $3 and r.settled_at is null
  returning r.receipt
),
carried as materialized (
  select d.event_no, d.tries, d.tried_at, d.duration_ms, d.response_code, d.error_code, d.payload_hash, d.trace_id
    from conversion_outbox.delivery d join held on held.receipt = d.receipt
   where d.destination = $1 and d.state = 'sent' and $7 is not null
   order by d.event_no
     for update of d
),
-- A delivery that was settled by its first try is its own record of it, until that try is not the last one any more.
recorded as (
  insert into conversion_outbox.attempt
    (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id)
  select event_no, $1, tries, 'sent', $14, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id
    from carried where $7 = 'pending'
  on conflict (event_no, destination, try_no) do nothing
),
moved as (
  update conversion_outbox.delivery d
     set state = $7, reason = $8, error_code = $9, due_at = $10,
         settled_at = case when $7 <> 'pending' then $11 end,
         attempts = case when $7 = 'pending' and not $14 then greatest(d.attempts - 1, 0) else d.attempts end,
         -- Some of the request may have been counted: nobody says which.
         first_tried_at = case when $15 then coalesce(d.first_tried_at, d.tried_at) else d.first_tried_at end,
         receipt = case when $7 = 'pending' then null else d.receipt end,
         company = case when $12 then greatest(((select count(*) from carried) + 1) / 2, 1)::smallint when $7 = 'pending' then d.company end
    from carried c
   where d.event_no = c.event_no and d.destination = $1
  returning d.event_no, d.tries, d.trace_id
),
counted as (
  insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
  select $1, s.state, $13::smallint, s.sign * count(*), s.sign * count(*) filter (where m.tries > 1)
    from moved m cross join (values ('sent', -1), ($7, 1)) as s (state, sign)
   where s.state <> 'pending' and $7 <> 'sent'
   group by s.state, s.sign
   order by s.state
  on conflict (destination, state, slot) do update
    set total = t.total + excluded.total, retried = t.retried + excluded.retried
)
select m.event_no, e.event_id, e.event_name, m.tries, m.trace_id, e.traceparent
  from moved m join conversion_outbox.event e using (event_no)
