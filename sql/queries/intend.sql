-- Records, before the request, that these deliveries are about to be sent to a platform that does not deduplicate.
-- From here on the delivery row holds the lease: whoever finds it expired must not send again. Asked once more with the same
-- time, because the answer was lost, it gives the same answer.
-- Fresh deliveries ($5 = 0) are fenced by the queue's claim number, waiting ones by their own.
-- $1 bigint[] event_no   $2 text destination   $3 integer[] claim_no   $4 float8 lease, seconds
-- $5 integer[] delivery's claim_no, 0 where there is no delivery row yet
-- Written again with the same time, after a commit whose answer was lost, it finds its own intent and renews the lease.
-- $6 bytea[] payload_hash   $7 integer[] permit   $8 timestamptz the time of sending   $9 timestamptz clock or null
with wanted as (
  select * from unnest($1::bigint[], $3::integer[], $5::integer[], $6::bytea[], $7::integer[])
    as w (event_no, claim_no, delivery_claim_no, payload_hash, permit)
),
held as materialized (
  select q.event_no from conversion_outbox.queue q join wanted w
      on q.event_no = w.event_no and q.claim_no = w.claim_no and w.delivery_claim_no = 0
   order by q.event_no
     for update of q
),
fresh as (
  insert into conversion_outbox.delivery as d
    (event_no, destination, state, reason, claim_no, tries, payload_hash, permit, tried_at, first_tried_at, intent_at, due_at, lease_until)
  select w.event_no, $2, 'pending', 'sending', 1, 1, w.payload_hash, w.permit, $8, $8, $8, $8,
         coalesce($9, now()) + make_interval(secs => $4)
    from wanted w join held using (event_no)
  on conflict (event_no, destination) do update set lease_until = excluded.lease_until
    where d.state = 'pending' and d.claim_no = 1 and d.intent_at = excluded.intent_at and d.payload_hash = excluded.payload_hash
  returning d.event_no, d.claim_no
),
again as (
  update conversion_outbox.delivery d
     set reason = 'sending', tries = case when d.intent_at = $8 then d.tries else least(d.tries::integer + 1, 32767) end, payload_hash = w.payload_hash, permit = w.permit, tried_at = $8,
         first_tried_at = coalesce(d.first_tried_at, $8), intent_at = $8,
         lease_until = coalesce($9, now()) + make_interval(secs => $4)
    from wanted w
   where w.delivery_claim_no > 0 and d.event_no = w.event_no and d.destination = $2
     and d.claim_no = w.delivery_claim_no and d.state = 'pending'
  returning d.event_no, d.claim_no
)
select event_no, claim_no from fresh union all select event_no, claim_no from again
