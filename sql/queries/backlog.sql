-- What is not final yet, for metrics and for the status command.
select destination, platform, enabled, hold_reason, hold_code, hold_advice, held_since, probe_at,
       pending, retrying, due, oldest_due_at, oldest_recorded_at, expiring, leased
  from conversion_outbox.destination_backlog
 order by destination
