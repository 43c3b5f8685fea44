-- The held conversion actions and rules as they stand, for every worker to obey.
select destination, rule, probe_at, reason = 'paused' as is_paused from conversion_outbox.rule_hold
