-- What was migrated, oldest first.
select version, name, checksum, applied_at from conversion_outbox.schema_migration order by version
