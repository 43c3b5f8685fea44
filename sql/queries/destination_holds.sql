-- The holds as they stand, for every worker to obey.
select name, hold_reason, probe_at, hold_credential from conversion_outbox.destination where hold_reason is not null
