-- The event of a fact.
-- $1 text event_id   $2 text event_name   $3 text business_id   $4 bigint cents   $5 timestamptz occurred_at
-- $6 jsonb consent   $7 jsonb user_data   $8 jsonb click_ids   $9 text depends_on
select outcome from conversion_outbox.enqueue(
  event_id => $1, event_name => $2, business_id => $3, value => $4 / 100.0, currency => case when $4 is not null then 'USD' end,
  occurred_at => $5, consent => $6, user_data => $7, click_ids => $8, depends_on => $9,
  action_source => 'website', page_url => 'https://shop.example/thanks', source => 'torture')
