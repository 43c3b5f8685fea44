-- What happened.
select event_id, event_name, business_id, cents, occurred_at from torture.fact order by event_id
