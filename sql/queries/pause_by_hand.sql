-- Pauses a destination for an operator, and says whether it is known at all.
-- $1 text name   $2 text why
select conversion_outbox.pause_destination($1, $2) as known
