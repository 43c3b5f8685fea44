-- The holds and quiet times as they stand, for every worker to obey.
select name, hold_reason, hold_reason = 'paused' as is_paused, probe_at, hold_credential, throttles, throttled_since, throttled_until
  from conversion_outbox.destination
 where hold_reason is not null or throttles > 0
