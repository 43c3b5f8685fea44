-- What happened, once however often it is told.
-- $1 text event_id   $2 text event_name   $3 text business_id   $4 bigint cents   $5 timestamptz occurred_at
insert into torture.fact (event_id, event_name, business_id, cents, occurred_at) values ($1, $2, $3, $4, $5)
on conflict (event_id) do nothing
