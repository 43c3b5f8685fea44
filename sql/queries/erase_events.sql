-- Erases these events and gives the receipt.
-- $1 bigint[] events   $2 text reason
select conversion_outbox.erase_events($1, $2) as receipt
