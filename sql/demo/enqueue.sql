-- One event, in the transaction of the business row. A repeat is counted and never fails. Amounts travel as text, so
-- that they stay exact.
select outcome from conversion_outbox.enqueue(
  event_id => $1, event_name => $2, business_id => $3, occurred_at => $4, value => cast($5 as numeric), currency => $6,
  consent => $7, user_data => $8, click_ids => $9, properties => $10, action_source => $11, page_url => $12,
  source => $13, depends_on => $14, traceparent => $15)
