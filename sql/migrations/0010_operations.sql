-- What people did by hand, and deliveries that a person asked for again.
set local role conversion_outbox_owner;

-- A lease that ran out means that a worker was lost, and that it may have sent; an event set aside means neither.
alter table conversion_outbox.queue
  add column set_aside boolean not null default false;
comment on column conversion_outbox.queue.set_aside is 'Whether it only waits until lease_until for a worker that serves what is left of it; nobody holds it.';

alter table conversion_outbox.delivery
  add column replayed_at timestamptz;
comment on column conversion_outbox.delivery.replayed_at is 'When a person last asked for it again; such deliveries go after all others.';

create table conversion_outbox.audit (
  audit_no bigint generated always as identity primary key,
  done_at  timestamptz not null default clock_timestamp(),
  login    text        not null default session_user,
  action   text        not null,
  reason   text        not null,
  details  jsonb       not null default '{}',

  constraint action_is_a_word check (action ~ '^[a-z][a-z_]*$'),
  constraint a_reason_is_given check (btrim(reason) <> '')
);
comment on table conversion_outbox.audit is 'Who did what by hand, when and why; append-only.';
comment on column conversion_outbox.audit.login is 'The login that did it, whatever role it acted in.';
comment on column conversion_outbox.audit.details is 'What it concerned: destination, filter, counts, event ids; never personal data.';

revoke all on conversion_outbox.audit from public;
grant select on conversion_outbox.audit to conversion_outbox_reader, conversion_outbox_operator, conversion_outbox_privacy;
