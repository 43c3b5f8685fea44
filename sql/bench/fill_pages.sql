-- Thirty days of history for the pages: $1 events of six names, each at four destinations, in every final state, with some second
-- tries and dead letters. Triggers are off in this session.
-- $1 bigint events
with events as (
  insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, recorded_at, value, currency, consent, user_data, click_ids)
  select 'page-' || n, (array['order_paid', 'order_refunded', 'lead_created', 'lead_qualified', 'deal_won', 'booking_confirmed'])[1 + n % 6],
         'page-' || n, t.at, t.at, 10, 'EUR',
         case n % 5 when 0 then '{"ad_user_data": "denied"}'::jsonb when 1 then '{"ad_user_data": "unspecified"}' else '{"ad_user_data": "granted"}' end,
         case n % 3 when 0 then '{"email": "x@example.com"}'::jsonb else '{}' end,
         case n % 4 when 0 then '{"gclid": "x"}'::jsonb else '{}' end
    from generate_series(1, $1) n
   cross join lateral (select date_trunc('day', now()) - make_interval(days => (30 * (1 - n / ($1 + 1.0)))::integer) + make_interval(secs => n % 80000) as at) t
  returning event_no, recorded_at
),
deliveries as (
  insert into conversion_outbox.delivery (event_no, destination, state, reason, tries, attempts, response_code, error_code, duration_ms, permit,
                                          tried_at, first_tried_at, settled_at, payload_hash)
  select e.event_no, d.destination, k.state, k.reason, case when k.left_house then 1 + (e.event_no % 50 = 0)::integer else 0 end,
         k.left_house::integer, case when k.left_house then case when k.state = 'rejected' then 400 else 200 end end,
         case when k.state = 'rejected' then '2804019' end, case when k.left_house then 120 end, 1023,
         case when k.left_house then e.recorded_at + interval '2 seconds' end, null, e.recorded_at + interval '3 seconds',
         case when k.left_house then sha256(int8send(e.event_no)) end
    from events e
   cross join unnest(array['meta-a', 'meta-b', 'ga4-a', 'ga4-b']) with ordinality as d (destination, place)
   cross join lateral (
     select case when (e.event_no + d.place) % 1000 = 0 then 'rejected' when (e.event_no + d.place) % 10 = 1 then 'suppressed'
                 when (e.event_no + d.place) % 10 = 2 then 'skipped' when d.place > 2 then 'sent' else 'accepted' end as state) s
   cross join lateral (
     select s.state, case s.state when 'rejected' then 'refused_by_platform' when 'suppressed' then 'consent_denied' when 'skipped' then 'no_identifier' end as reason,
            s.state not in ('suppressed', 'skipped') as left_house) k
  returning event_no, destination, tries, tried_at
)
insert into conversion_outbox.attempt (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash)
select event_no, destination, try_no, case try_no when 1 then 'retry' else 'accepted' end, true, tried_at, 100,
       case try_no when 1 then 503 else 200 end, null, sha256('x')
  from deliveries cross join generate_series(1, 2) try_no
 where tries = 2
