-- Whether anything was ever migrated. From the catalog, which anybody may read.
select exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = 'conversion_outbox' and c.relname = 'schema_migration') as found
