-- Makes a configured destination known to the database, so that its backlog is exact from the first moment.
-- $1 text name   $2 text platform   $3 boolean enabled
insert into conversion_outbox.destination as d (name, platform, enabled) values ($1, $2, $3)
on conflict (name) do update set platform = excluded.platform, enabled = excluded.enabled
  where (d.platform, d.enabled) is distinct from (excluded.platform, excluded.enabled)
