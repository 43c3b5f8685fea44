-- Leases up to $2 events from the queue. Rows that another worker holds are passed over, never waited for.
-- $1 bigint       low-water mark: only events above it are looked at, so that dead rows at the head cost nothing
-- $2 bigint       how many events at most
-- $3 float8       lease, seconds
-- $4 timestamptz  the time, or null for the database's own clock
-- The limit stands in a cte: in a nested loop it could be run again and claim more than it says. The rows are locked, so
-- their place (ctid) stands: reached by it, a claim costs the same however long the queue is.
with due as materialized (
  select ctid, event_no, case when not set_aside then lease_until end as lost_at
    from conversion_outbox.queue
   where event_no > $1 and (lease_until is null or lease_until < coalesce($4, now()))
   order by event_no
   limit $2
     for update skip locked
)
update conversion_outbox.queue q
   set claim_no = q.claim_no + 1, set_aside = false,
       lease_until = coalesce($4, now()) + make_interval(secs => $3)
  from due
  join conversion_outbox.event e using (event_no)
 cross join lateral conversion_outbox.withdrawn_signals(
         e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at, e.person_withdrawals) w
 cross join lateral conversion_outbox.reversals_of(e.event_id) r
 where q.ctid = any (array(select ctid from due)) and q.event_no = due.event_no
returning
  q.claim_no, due.lost_at,
  -- After a rescue some destinations may be done already.
  case when q.claim_no > 1
    then (select array_agg(d.destination) from conversion_outbox.delivery d where d.event_no = q.event_no)
  end as done,
  w.withdrawn,
  case when e.depends_on is not null then conversion_outbox.original_of(e.depends_on, e.reversal_no) end as original,
  r.reversals,
  -- What was written in one transaction with the event was seen by whoever saw the event. Asked only of a lost claim.
  case when due.lost_at is not null then (
    select array_agg(x.event_no) from conversion_outbox.event x
     where x.depends_on = e.event_id and x.reversal_no is not null and x.xmin = e.xmin) end as came_with,
  -- What was taken back after this look shows by it.
  e.data_removed_by, e.payload_salt,
  pg_snapshot_xmin(pg_current_snapshot())::text as as_of,
  (select array_agg(k.key_id) from conversion_outbox.suppression_key k) as suppression_keys,
  e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.value::text as value, e.currency,
  e.consent, e.user_data, e.click_ids, e.properties, e.action_source, e.page_url, e.source, e.depends_on,
  e.traceparent, e.tracestate
