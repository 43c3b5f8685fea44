-- Takes digests off the suppression list.
-- $1 bytea[] subjects   $2 text reason
select conversion_outbox.unsuppress($1, $2) as changed
