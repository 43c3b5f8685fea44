-- Lifts a hold or pause for an operator, and says whether there was one and whether the destination is known at all.
-- $1 text name   $2 text rule, or null for the destination and all its rules   $3 text reason, or null for the usual one
select coalesce(conversion_outbox.resume_destination($1, $2, coalesce($3, 'resumed by hand')), false) as resumed,
  exists (select from conversion_outbox.destination where name = $1) as known
