-- $1 jsonb one computed day
select conversion_outbox.store_reconciliation($1) as changed
