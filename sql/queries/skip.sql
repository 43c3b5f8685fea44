-- Ends deliveries for good. $1 bigint[] events   $2 text[] destinations   $3 text reason   $4 jsonb filter
-- $5 bigint the run's row in audit, null for the first batch
select audit_no, skipped as done from conversion_outbox.skip_deliveries($1, $2, $3, $4, $5)
