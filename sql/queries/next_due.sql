-- For each destination the time at which its first waiting delivery falls due; two index probes each.
-- $1 text[]       destinations
-- $2 timestamptz  the time, or null for the database's own clock
select n.name as destination, least(w.due_at, r.due_at) as due_at
  from unnest($1::text[]) as n (name)
  left join lateral (
   select d.due_at
     from conversion_outbox.delivery d
    where d.destination = n.name and d.state = 'pending' and d.replayed_at is null
      and (d.lease_until is null or d.lease_until < coalesce($2, now()))
    order by d.due_at
    limit 1) w on true
  left join lateral (
   select d.due_at
     from conversion_outbox.delivery d
    where d.destination = n.name and d.state = 'pending' and d.replayed_at is not null
      and (d.lease_until is null or d.lease_until < coalesce($2, now()))
    order by d.due_at
    limit 1) r on true
 where least(w.due_at, r.due_at) is not null
