-- One event by its id, for preview.
-- $1 text event_id
select e.data_removed_by, e.payload_salt,
  pg_snapshot_xmin(pg_current_snapshot())::text as as_of,
  (select array_agg(k.key_id) from conversion_outbox.suppression_key k) as suppression_keys,
  e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.value::text as value, e.currency,
  e.consent, e.user_data, e.click_ids, e.properties, e.action_source, e.page_url, e.source, e.depends_on,
  e.traceparent, e.tracestate,
  w.withdrawn,
  case when e.depends_on is not null then conversion_outbox.original_of(e.depends_on, e.reversal_no) end as original,
  r.reversals
from conversion_outbox.event e
 cross join lateral conversion_outbox.withdrawn_signals(
         e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at, e.person_withdrawals) w
 cross join lateral conversion_outbox.reversals_of(e.event_id) r
where e.event_id = $1
