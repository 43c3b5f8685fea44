-- A page of deliveries that an operator may replay or skip, with everything that decides whether they would go.
-- Each of these may be null, and then asks for nothing:
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code   $5 text event_name
-- $6 timestamptz settled since   $7 timestamptz settled before   $8 text[] event ids
-- The page: $9 bigint event_no and $10 text destination of the last one seen   $11 bigint how many at most
-- $12 boolean whether deliveries of the named events that wait, or that an operator ended, are meant too
with wanted as materialized (
  select d.event_no, d.destination
    from conversion_outbox.delivery d
    join conversion_outbox.event e using (event_no)
   where d.state in ('rejected', 'uncertain', 'exhausted')
     and ($1::text is null or d.destination = $1) and ($2::text is null or d.state = $2) and ($3::text is null or d.reason = $3)
     and ($4::text is null or d.error_code = $4) and ($5::text is null or e.event_name = $5)
     and ($6::timestamptz is null or d.settled_at >= $6) and ($7::timestamptz is null or d.settled_at < $7)
     and ($8::text[] is null or e.event_id = any ($8))
     and (d.event_no, d.destination) > ($9, $10)
  union all
  select d.event_no, d.destination
    from conversion_outbox.event e
    join conversion_outbox.delivery d using (event_no)
   where $12 and e.event_id = any ($8) and ($1::text is null or d.destination = $1)
     and (d.state = 'pending' or (d.state = 'cancelled' and d.reason = 'by_operator'))
     and (d.event_no, d.destination) > ($9, $10)
   order by event_no, destination
   limit $11
)
select d.destination, d.state, d.reason, d.error_code, d.settled_at, d.lease_until is not null or d.intent_at is not null as held,
  d.tries, d.attempts,
  (select count(*)::smallint from conversion_outbox.attempt a
    where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'rejected') as refusals,
  (select count(*)::smallint from conversion_outbox.attempt a
    where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'too_early') as early,
  d.permit, d.payload_hash, d.first_tried_at, d.tried_at, d.intent_at, d.company, d.expires_at,
  w.withdrawn,
  case when e.depends_on is not null then conversion_outbox.original_of(e.depends_on, e.reversal_no) end as original,
  r.reversals,
  e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.value::text as value, e.currency,
  e.consent, e.user_data, e.click_ids, e.properties, e.action_source, e.page_url, e.source, e.depends_on,
  e.traceparent, e.tracestate
  from wanted
  join conversion_outbox.delivery d using (event_no, destination)
  join conversion_outbox.event e using (event_no)
 cross join lateral conversion_outbox.withdrawn_signals(
         e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at) w
 cross join lateral conversion_outbox.reversals_of(e.event_id) r
 order by e.event_no, d.destination
