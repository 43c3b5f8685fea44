-- Gives back what was claimed and not sent, at shutdown or when a lease became too short to send. Fenced.
-- $1 bigint[] event_no of queue rows    $2 integer[] their claim_no
-- $3 bigint[] event_no of deliveries    $4 text[] their destination    $5 integer[] their claim_no
with events as (
  update conversion_outbox.queue q set lease_until = null
    from unnest($1::bigint[], $2::integer[]) as r (event_no, claim_no)
   where q.event_no = r.event_no and q.claim_no = r.claim_no
  returning q.event_no
),
deliveries as (
  update conversion_outbox.delivery d set lease_until = null
    from unnest($3::bigint[], $4::text[], $5::integer[]) as r (event_no, destination, claim_no)
   where d.event_no = r.event_no and d.destination = r.destination and d.claim_no = r.claim_no
     and d.state = 'pending' and d.intent_at is null
  returning d.event_no
)
select (select count(*) from events) + (select count(*) from deliveries) as released
