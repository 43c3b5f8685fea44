-- The same as enqueue, in plain SQL, for applications that prefer it or whose ORM does.
insert into conversion_outbox.event (
  event_id, event_name, business_id, occurred_at, value, currency, consent, user_data, click_ids, properties,
  action_source, page_url, source, depends_on, traceparent)
values ($1, $2, $3, $4, cast($5 as numeric), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict do nothing
