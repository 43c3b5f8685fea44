-- Writes results, all or nothing, and only for the holder of the current lease.
-- Fresh results come from a queue row: the delivery is inserted, once, with its outcome. Waiting deliveries are updated.
-- Deliveries, one array a column:
-- $1 event_no  $2 destination  $3 claim_no  $4 fresh: from the queue, so the delivery row is yet to be made  $5 slot of totals
-- $6 state  $7 reason  $8 tries  $9 attempts  $10 response_code  $11 duration_ms  $12 permit  $13 tried_at
-- $14 first_tried_at  $15 payload_hash  $16 trace_id  $17 error_code  $18 due_at  $19 settled_at
-- Tries that the delivery row does not record by itself:
-- $20 event_no  $21 destination  $22 try_no  $23 outcome  $24 counted  $25 tried_at  $26 duration_ms  $27 response_code
-- $28 error_code  $29 payload_hash  $30 trace_id
-- Events whose last destination is in, whose queue rows go:
-- $31 event_no  $32 claim_no
-- More of the deliveries:
-- $33 expires_at  $34 receipt, where the platform says later what became of the request  $35 rule  $36 when to ask
-- Returns the deliveries that were settled; what is missing was lost to another worker.
with result as materialized (
  select * from unnest(
    $1::bigint[], $2::text[], $3::integer[], $4::boolean[], $6::text[], $7::text[], $8::smallint[], $9::smallint[],
    $10::smallint[], $11::integer[], $12::integer[], $13::timestamptz[], $14::timestamptz[], $15::bytea[], $16::bytea[], $17::text[],
    $18::timestamptz[], $19::timestamptz[], $33::timestamptz[], $34::text[], $35::text[], $36::timestamptz[])
  as r (event_no, destination, claim_no, fresh, state, reason, tries, attempts, response_code, duration_ms, permit,
        tried_at, first_tried_at, payload_hash, trace_id, error_code, due_at, settled_at, expires_at, receipt, rule, ask_at)
),
finished as materialized (
  select * from unnest($31::bigint[], $32::integer[]) as f (event_no, claim_no)
),
-- Another worker may serve a destination that this one does not know: then the event is not finished. It is set aside
-- for a while, longer each time, and whoever claims it next finds what is done already.
unserved as materialized (
  select f.event_no
    from finished f
    join conversion_outbox.live_destination n
      on not exists (select from conversion_outbox.delivery d where d.event_no = f.event_no and d.destination = n.name)
     and not exists (select from result r where r.event_no = f.event_no and r.destination = n.name)
),
closed as (
  delete from conversion_outbox.queue q
   using finished f
   where q.event_no = f.event_no and q.claim_no = f.claim_no and f.event_no not in (select u.event_no from unserved u)
  returning q.event_no, q.claim_no
),
set_aside as (
  update conversion_outbox.queue q
     set lease_until = now() + make_interval(secs => least(10 * 2 ^ least(q.claim_no, 6), 600)), set_aside = true
    from finished f
   where q.event_no = f.event_no and q.claim_no = f.claim_no and f.event_no in (select u.event_no from unserved u)
  returning q.event_no, q.claim_no
),
-- Events that stay in the queue are locked for the length of this statement, so that nobody claims them meanwhile.
open as materialized (
  select q.event_no, q.claim_no
    from conversion_outbox.queue q
   where (q.event_no, q.claim_no) in (
           select r.event_no, r.claim_no from result r where r.fresh except select f.event_no, f.claim_no from finished f)
   order by q.event_no
     for update
),
held as (
  select event_no, claim_no from closed
  union all select event_no, claim_no from set_aside
  union all select event_no, claim_no from open
),
inserted as (
  insert into conversion_outbox.delivery as d
    (event_no, destination, state, reason, tries, attempts, response_code, duration_ms, permit, tried_at, first_tried_at,
     payload_hash, trace_id, error_code, due_at, settled_at, expires_at, receipt)
  select event_no, destination, state, reason, tries, attempts, response_code, duration_ms, permit, tried_at, first_tried_at,
         payload_hash, trace_id, error_code, due_at, settled_at, expires_at, receipt
    from result join held using (event_no, claim_no)
   where fresh
  on conflict (event_no, destination) do nothing
  returning d.event_no, d.destination, d.state, d.tries
),
updated as (
  update conversion_outbox.delivery d
     set state = r.state, reason = r.reason, tries = r.tries, attempts = r.attempts,
         response_code = case when r.tried_at is null then d.response_code else r.response_code end, duration_ms = coalesce(r.duration_ms, d.duration_ms),
         permit = case when d.intent_at is null then coalesce(r.permit, d.permit) else r.permit end, tried_at = coalesce(r.tried_at, d.tried_at),
         -- Written with the intent as well; a clear answer leaves no doubt.
         first_tried_at = r.first_tried_at, payload_hash = coalesce(r.payload_hash, d.payload_hash),
         trace_id = coalesce(r.trace_id, d.trace_id),
         -- What was said of an earlier try is not true of a later one.
         error_code = case when r.tried_at is null then coalesce(r.error_code, d.error_code) else r.error_code end,
         due_at = r.due_at, settled_at = r.settled_at, lease_until = null, intent_at = null, receipt = r.receipt,
         company = case when r.state in ('pending', 'sent') then d.company end, expires_at = coalesce(r.expires_at, d.expires_at)
    from result r
   where not r.fresh and d.event_no = r.event_no and d.destination = r.destination
     and d.claim_no = r.claim_no and d.state = 'pending'
  returning d.event_no, d.destination, d.state, d.tries
),
settled as (
  select * from inserted union all select * from updated
),
asked_for as (
  insert into conversion_outbox.request as q (destination, receipt, rule, sent_at, due_at)
  select distinct on (r.destination, r.receipt) r.destination, r.receipt, r.rule, r.tried_at, r.ask_at
    from result r join settled s on s.event_no = r.event_no and s.destination = r.destination
   where r.receipt is not null
   order by r.destination, r.receipt
  -- A number that was given before, for an answer that is final, is asked for again.
  on conflict (destination, receipt) do update
    set sent_at = excluded.sent_at, due_at = excluded.due_at, settled_at = null, asked = 0
    where q.settled_at is not null
),
recorded as (
  insert into conversion_outbox.attempt
    (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id)
  select t.*
    from unnest($20::bigint[], $21::text[], $22::smallint[], $23::text[], $24::boolean[], $25::timestamptz[], $26::integer[],
                $27::smallint[], $28::text[], $29::bytea[], $30::bytea[])
      as t (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id)
    join settled s on s.event_no = t.event_no and s.destination = t.destination
  on conflict (event_no, destination, try_no) do nothing
),
counted as (
  insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
  select destination, state, $5::smallint, count(*), count(*) filter (where tries > 1)
    from settled where state <> 'pending'
   group by destination, state
   order by destination, state
  on conflict (destination, state, slot) do update
    set total = t.total + excluded.total, retried = t.retried + excluded.retried
)
select event_no, destination from settled
