-- Makes sure that a limit of requests is on record.
-- $1 text name
insert into conversion_outbox.rate_limit (name, next_at) values ($1, '-infinity') on conflict (name) do nothing
