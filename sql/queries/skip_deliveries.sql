-- Ends deliveries, for an operator.
-- $1 bigint[] event_no   $2 text[] destination   $3 text why   $4 jsonb what was asked for
select event_no, destination from conversion_outbox.skip_deliveries($1, $2, $3, $4)
