-- Destinations that are configured no longer take no new events; what waits for them stays visible.
-- $1 text[] the configured names
update conversion_outbox.destination set enabled = false where enabled and name <> all ($1)
