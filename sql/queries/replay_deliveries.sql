-- Sets ended deliveries going again, for an operator.
-- $1 bigint[] event_no   $2 text[] destination   $3 text why   $4 text doubt: refuse, keep or forget   $5 jsonb what was asked for
select event_no, destination from conversion_outbox.replay_deliveries($1, $2, $3, $4, $5)
