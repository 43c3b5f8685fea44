-- Leases up to $2 waiting deliveries of one destination whose time has come. Those that expire soon go first; those that a
-- person asked for again go after all others, and again those first that expire soon.
-- $1 text         destination
-- $2 bigint       how many at most
-- $3 float8       lease, seconds
-- $4 timestamptz  the time, or null for the database's own clock
-- $5 float8       what counts as soon, seconds
-- $6 bigint       how many of them may be replays
with expiring as materialized (
  select ctid, event_no, lease_until as lost_at
    from conversion_outbox.delivery
   where destination = $1 and state = 'pending' and replayed_at is null
     and expires_at < coalesce($4, now()) + make_interval(secs => $5)
     and due_at <= coalesce($4, now())
     and (lease_until is null or lease_until < coalesce($4, now()))
   order by expires_at
   limit $2
     for update skip locked
),
others as materialized (
  select ctid, event_no, lease_until as lost_at
    from conversion_outbox.delivery
   where destination = $1 and state = 'pending' and replayed_at is null and due_at <= coalesce($4, now())
     and (lease_until is null or lease_until < coalesce($4, now()))
     and (expires_at is null or expires_at >= coalesce($4, now()) + make_interval(secs => $5))
   order by due_at
   limit greatest($2 - (select count(*) from expiring), 0)
     for update skip locked
),
first as materialized (
  select * from expiring union all select * from others
),
replays_expiring as materialized (
  select ctid, event_no, lease_until as lost_at
    from conversion_outbox.delivery
   where destination = $1 and state = 'pending' and replayed_at is not null
     and expires_at < coalesce($4, now()) + make_interval(secs => $5)
     and due_at <= coalesce($4, now())
     and (lease_until is null or lease_until < coalesce($4, now()))
   order by expires_at
   limit least(greatest($2 - (select count(*) from first), 0), $6)
     for update skip locked
),
replays as materialized (
  select ctid, event_no, lease_until as lost_at
    from conversion_outbox.delivery
   where destination = $1 and state = 'pending' and replayed_at is not null and due_at <= coalesce($4, now())
     and (lease_until is null or lease_until < coalesce($4, now()))
     and (expires_at is null or expires_at >= coalesce($4, now()) + make_interval(secs => $5))
   order by due_at
   limit greatest(least($2 - (select count(*) from first), $6) - (select count(*) from replays_expiring), 0)
     for update skip locked
),
due as materialized (
  select * from first union all select * from replays_expiring union all select * from replays
)
update conversion_outbox.delivery d
   set claim_no = d.claim_no + 1,
       lease_until = coalesce($4, now()) + make_interval(secs => $3)
  from due
  join conversion_outbox.event e using (event_no)
 cross join lateral conversion_outbox.withdrawn_signals(
         e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at, e.person_withdrawals) w
 cross join lateral conversion_outbox.reversals_of(e.event_id) r
 where d.ctid = any (array(select ctid from due)) and d.event_no = due.event_no
returning
  d.claim_no, due.lost_at, d.replayed_at is not null as replayed,
  d.tries, d.attempts,
  -- Limits on one kind of answer count that kind, since a person last asked: a hold or a throttle in between is none of it.
  (select count(*)::smallint from conversion_outbox.attempt a
    where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'rejected'
      and (d.replayed_at is null or a.tried_at > d.replayed_at)) as refusals,
  (select count(*)::smallint from conversion_outbox.attempt a
    where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'too_early'
      and (d.replayed_at is null or a.tried_at > d.replayed_at)) as early,
  (select count(*)::smallint from conversion_outbox.attempt a
    where a.event_no = d.event_no and a.destination = d.destination and a.error_code = 'lease_lost') as lost,
  exists (select from conversion_outbox.attempt a
    where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'ambiguous') as answer_lost, d.forced_at,
  d.permit, d.payload_hash, d.trace_id, d.first_tried_at, d.tried_at, d.intent_at, d.company, d.expires_at,
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
