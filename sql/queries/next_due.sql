-- For each destination the time at which its first waiting delivery falls due; one index probe each.
-- $1 text[]       destinations
-- $2 timestamptz  the time, or null for the database's own clock
select n.name as destination, w.due_at
  from unnest($1::text[]) as n (name)
 cross join lateral (
   select d.due_at
     from conversion_outbox.delivery d
    where d.destination = n.name and d.state = 'pending'
      and (d.lease_until is null or d.lease_until < coalesce($2, now()))
    order by d.due_at
    limit 1) w
