-- Erases the events of these business ids and gives the receipt.
-- $1 text[] business ids   $2 text reason, for the audit
with reason as materialized (select set_config('conversion_outbox.reason', $2, true))
select conversion_outbox.erase_subject(business_ids => $1) as receipt from reason
