-- The application's own tables of the torture run: what happened, written in the transaction that also writes the event.
create schema torture;
create table torture.fact (
  event_id    text primary key,
  event_name  text        not null,
  business_id text        not null,
  cents       bigint,
  occurred_at timestamptz not null
);
create table torture.withdrawal (
  business_id  text primary key,
  is_erasure   boolean     not null,
  withdrawn_at timestamptz not null default clock_timestamp()
);
