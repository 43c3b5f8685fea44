-- Pauses a destination or one rule of it. Says whether it was not paused before; null when no worker has registered it.
-- $1 text name   $2 text reason   $3 text rule, or null for the destination
select case when exists (select from conversion_outbox.destination where name = $1)
         then conversion_outbox.pause_destination($1, $2, $3) end as is_new
