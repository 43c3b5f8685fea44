-- Settled history: $1 events, each delivered to four destinations. Triggers are off in this session, so nothing is queued.
-- $1 bigint events
with events as (
  insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, value, currency, consent, user_data, properties)
  select 'history-' || n || '-' || clock_timestamp(), 'order_paid', 'history-' || n, now(), 10, 'EUR', '{"ad_storage": "granted"}', '{}', '{}'
    from generate_series(1, $1) n
  returning event_no
)
insert into conversion_outbox.delivery (event_no, destination, state, tries, attempts, response_code, duration_ms, permit, tried_at, settled_at, payload_hash)
select event_no, destination, 'accepted', 1, 1, 200, 12, 1023, now(), now(), sha256(int8send(event_no))
  from events, unnest(array['meta-a', 'meta-b', 'ga4-a', 'ga4-b']) destination
