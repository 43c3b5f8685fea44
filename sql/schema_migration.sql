-- The record of what was migrated. Part of the first migration's transaction, right after it made the schema.
set local role conversion_outbox_owner;

create table conversion_outbox.schema_migration (
  version    integer     primary key,
  name       text        not null,
  checksum   text        not null,
  applied_at timestamptz not null default clock_timestamp(),

  constraint checksum_is_sha256 check (checksum ~ '^[0-9a-f]{64}$')
);
comment on table conversion_outbox.schema_migration is 'Migrations that were applied, by conversion-outbox migrate or by another tool that ran its printed script.';
comment on column conversion_outbox.schema_migration.checksum is 'SHA-256 of the migration''s text, in hexadecimal: an applied migration never changes.';
grant select on conversion_outbox.schema_migration
  to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
