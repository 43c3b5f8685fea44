-- Has deliveries sent again. $1 bigint[] events   $2 text[] destinations   $3 text reason   $4 jsonb filter   $5 boolean forced
-- $6 bigint the run's row in audit, null for the first batch
select audit_no, replayed as done from conversion_outbox.replay_deliveries($1, $2, $3, $4, $5, $6)
