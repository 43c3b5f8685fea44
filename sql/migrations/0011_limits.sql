-- Limits of requests that all workers keep together, and destinations that want to be left alone for a while.
set local role conversion_outbox_owner;

create table conversion_outbox.rate_limit (
  name    text collate "C" primary key,
  next_at timestamptz not null
) with (fillfactor = 50);
comment on table conversion_outbox.rate_limit is 'Limits of requests that all workers keep together: a token bucket each, kept as one time.';
comment on column conversion_outbox.rate_limit.name is 'The limit: a destination''s own, or one that several destinations share.';
comment on column conversion_outbox.rate_limit.next_at is 'When the next request may leave. A time that is past is credit, up to what may leave at once after a pause.';

alter table conversion_outbox.destination
  add column throttles       integer not null default 0,
  add column throttled_since timestamptz,
  add column throttled_until timestamptz,
  add constraint a_throttle_is_whole check (
    (throttles = 0) = (throttled_since is null) and (throttles = 0) = (throttled_until is null));
comment on column conversion_outbox.destination.throttles is 'How often in a row the platform said that it is asked too often; nought when it does not.';
comment on column conversion_outbox.destination.throttled_since is 'When it said so first.';
comment on column conversion_outbox.destination.throttled_until is 'Until when no worker sends to it; then one of them tries with one delivery.';

-- What a person asked for again goes after all others, and must not lie in their way: both have indexes of their own. The due
-- time stands in the index of what expires, so that what is not due yet is passed over without a look at its row.
drop index conversion_outbox.delivery_expiring;
create index delivery_expiring on conversion_outbox.delivery (destination, expires_at, due_at)
  where state = 'pending' and replayed_at is null and expires_at is not null;
create index delivery_first_due on conversion_outbox.delivery (destination, due_at)
  where state = 'pending' and replayed_at is null;
create index delivery_replay_expiring on conversion_outbox.delivery (destination, expires_at, due_at)
  where state = 'pending' and replayed_at is not null and expires_at is not null;
create index delivery_replay_due on conversion_outbox.delivery (destination, due_at)
  where state = 'pending' and replayed_at is not null;

-- The same backlog with what workers have under lease.
create or replace view conversion_outbox.destination_backlog as
  select n.name as destination, n.platform, n.enabled,
         n.hold_reason, n.hold_code, n.hold_advice, n.held_since, n.probe_at,
         coalesce(w.waiting, 0) + coalesce(f.fresh, 0) as pending,
         coalesce(w.retrying, 0) as retrying,
         coalesce(w.due, 0) + coalesce(f.fresh, 0) as due,
         least(w.oldest_due, f.oldest) as oldest_due_at,
         least(w.oldest, f.oldest) as oldest_recorded_at,
         coalesce(w.expiring, 0) as expiring,
         coalesce(w.leased, 0) + coalesce(f.leased, 0) as leased,
         n.throttled_until
    from conversion_outbox.destination n
    left join lateral (
      select count(*) as waiting,
             count(*) filter (where d.tries > 0) as retrying,
             count(*) filter (where d.due_at <= now()) as due,
             min(d.due_at) filter (where d.due_at <= now()) as oldest_due,
             min(e.recorded_at) as oldest,
             count(*) filter (where d.expires_at < now() + interval '24 hours') as expiring,
             count(*) filter (where d.lease_until > now()) as leased
        from conversion_outbox.delivery d join conversion_outbox.event e using (event_no)
       where d.destination = n.name and d.state = 'pending') w on true
    left join lateral (
      select count(*) as fresh, min(e.recorded_at) as oldest, count(*) filter (where q.lease_until > now()) as leased
        from conversion_outbox.queue q join conversion_outbox.event e using (event_no)
       where n.name in (select l.name from conversion_outbox.live_destination l)
         and not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name)) f on true;

revoke all on conversion_outbox.rate_limit from public;
grant select, insert, update on conversion_outbox.rate_limit to conversion_outbox_worker;
grant select on conversion_outbox.rate_limit to conversion_outbox_reader, conversion_outbox_operator;
