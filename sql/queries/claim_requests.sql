-- Leases up to $2 requests of one destination whose late answer is to be asked for.
-- $1 text         destination
-- $2 bigint       how many at most
-- $3 float8       lease, seconds
-- $4 timestamptz  the time, or null for the database's own clock
with due as materialized (
  select ctid
    from conversion_outbox.request
   where destination = $1 and settled_at is null and due_at <= coalesce($4, now())
     and (lease_until is null or lease_until < coalesce($4, now()))
   order by due_at
   limit $2
     for update skip locked
)
update conversion_outbox.request r
   set claim_no = r.claim_no + 1,
       lease_until = coalesce($4, now()) + make_interval(secs => $3)
 where r.ctid = any (array(select ctid from due))
returning r.receipt, r.rule, r.claim_no, r.asked, r.sent_at,
  (select count(*) from conversion_outbox.delivery d
    where d.destination = r.destination and d.receipt = r.receipt and d.state = 'sent') as deliveries,
  (select coalesce(max(1 + (select count(*) from conversion_outbox.attempt a
             where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'sent')), 0)::smallint
     from conversion_outbox.delivery d
    where d.destination = r.destination and d.receipt = r.receipt and d.state = 'sent') as sendings,
  (select min(d.company) from conversion_outbox.delivery d
    where d.destination = r.destination and d.receipt = r.receipt and d.state = 'sent') as company,
  -- Where its deliveries were told, for links: as many as a reader of traces would follow.
  (select coalesce(jsonb_agg(jsonb_build_object('trace_id', encode(t.trace_id, 'hex'), 'traceparent', t.traceparent)), '[]')
     from (select d.trace_id, e.traceparent
             from conversion_outbox.delivery d join conversion_outbox.event e using (event_no)
            where d.destination = r.destination and d.receipt = r.receipt and d.state = 'sent'
            order by d.event_no limit 100) t) as told
