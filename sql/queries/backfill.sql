-- $1 jsonb events   $2 text reason   $3 bigint run, or null for the first batch
select audit_no, created, duplicates, conflicts from conversion_outbox.backfill($1, $2, $3)
