-- The evidence of one event, or null.
-- $1 text event_id
select conversion_outbox.proof_of($1) as proof
