-- Says that a worker serves this destination: at its start and every few seconds, so that events wait for it and its
-- backlog is exact from the first moment.
-- $1 text name   $2 text platform   $3 boolean enabled
insert into conversion_outbox.destination as d (name, platform, enabled) values ($1, $2, $3)
on conflict (name) do update set platform = excluded.platform, enabled = excluded.enabled, last_seen_at = now()
