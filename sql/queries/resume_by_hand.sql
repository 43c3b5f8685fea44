-- Lifts a hold for an operator, and says whether there was one and whether the destination is known at all.
-- $1 text name   $2 text rule, or null for the destination and all its rules   $3 text why
select coalesce(conversion_outbox.resume_destination($1, $2, $3), false) as resumed,
  exists (select from conversion_outbox.destination where name = $1) as known
