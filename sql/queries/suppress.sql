-- Puts digests on the suppression list.
-- $1 text key_id   $2 text[] kinds   $3 bytea[] subjects   $4 text scope   $5 text reason
select conversion_outbox.suppress($1, $2, $3, $4, $5) as changed
