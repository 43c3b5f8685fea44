-- Leases the first due event of the queue without reading its row, for a row that no claim can read.
-- $1 bigint low-water mark   $2 float8 lease, seconds   $3 timestamptz the time, or null for the database's own clock
with due as materialized (
  select ctid
    from conversion_outbox.queue
   where event_no > $1 and (lease_until is null or lease_until < coalesce($3, now()))
   order by event_no
   limit 1
     for update skip locked
)
update conversion_outbox.queue q
   set claim_no = q.claim_no + 1, set_aside = false,
       lease_until = coalesce($3, now()) + make_interval(secs => $2)
 where q.ctid = any (array(select ctid from due))
returning q.event_no, q.claim_no
