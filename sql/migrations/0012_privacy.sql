-- Retention, suppression and proof.
set local role conversion_outbox_owner;

-- What a person's data became, on the row that held them. New columns are null, so that no table is written anew.
alter table conversion_outbox.event
  add column payload_salt       bytea,
  add column person_withdrawals bigint[];
alter table conversion_outbox.event alter column payload_salt set default uuid_send(gen_random_uuid());
comment on column conversion_outbox.event.payload_salt is 'Random; part of every payload hash of this event. Removed with the person''s data: from then on nobody can try whether a hash is that of a certain address.';
comment on column conversion_outbox.event.person_withdrawals is 'The withdrawals by external_id that concerned this event when its data were removed: the row cannot tell them any more.';
comment on column conversion_outbox.delivery.payload_hash is 'SHA-256 of this event''s part of the request body, hashed once more with the event''s payload_salt.';

-- A transaction that was not seen when a claim looked has a number at least as high as the oldest that was open then. So
-- one probe of this index tells a worker, right before a request, whether anything at all was taken back since its claim.
alter table conversion_outbox.withdrawal
  add column written_by xid8 not null default pg_current_xact_id();
create index withdrawal_news on conversion_outbox.withdrawal (written_by);
comment on column conversion_outbox.withdrawal.written_by is 'The transaction that wrote it.';

-- People who are not to be told about at all, whatever an event's consent says. Only keyed digests: the key is the worker's.
create table conversion_outbox.suppression_key (
  key_id        text collate "C" primary key,
  algorithm     text        not null,
  first_used_at timestamptz not null default clock_timestamp(),

  constraint algorithm_is_known check (algorithm in ('hmac-sha256'))
);
comment on table conversion_outbox.suppression_key is 'Keys that entries of the suppression list were made with. A worker that lacks one of them sends nothing.';
comment on column conversion_outbox.suppression_key.key_id is 'Keyed fingerprint of the key; never the key.';

create table conversion_outbox.suppression (
  subject    bytea       not null,
  key_id     text collate "C" not null references conversion_outbox.suppression_key (key_id),
  kind       text        not null,
  scope      text        not null,
  added_at   timestamptz not null default clock_timestamp(),
  written_by xid8        not null default pg_current_xact_id(),

  primary key (subject, key_id),
  constraint subject_is_a_digest check (octet_length(subject) = 32),
  constraint kind_is_known check (kind in ('email', 'phone', 'external_id')),
  constraint scope_is_known check (scope in ('advertising', 'all'))
);
create index suppression_news on conversion_outbox.suppression (written_by);
comment on table conversion_outbox.suppression is 'The suppression list: one row for each form in which a platform hashes an address, a number or an id.';
comment on column conversion_outbox.suppression.subject is 'HMAC-SHA-256 over the kind and the SHA-256 of the normalised value.';
comment on column conversion_outbox.suppression.scope is 'advertising: advertising platforms, and what analytics would pass on to them; all: every platform.';

-- Which consent policy a destination had when.
create table conversion_outbox.policy (
  destination   text collate "C" not null,
  version       text collate "C" not null,
  policy        jsonb       not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at  timestamptz not null default clock_timestamp(),

  primary key (destination, version)
);
comment on table conversion_outbox.policy is 'The consent policies that workers decided by: each destination''s, and from when to when some worker had it.';
comment on column conversion_outbox.policy.version is 'Start of the SHA-256 of the policy.';
comment on column conversion_outbox.policy.policy is 'Which signals each kind of data needs, what is sent at all, and how unspecified and Global Privacy Control are read.';

-- How far retention has looked, and what it has to look at again.
create table conversion_outbox.retention (
  is_only_row boolean primary key default true,
  looked_to   bigint not null default 0,

  constraint there_is_one_row check (is_only_row)
);
insert into conversion_outbox.retention default values;
comment on table conversion_outbox.retention is 'Every event up to looked_to has been looked at by retention; what could not be removed then stands in kept_data.';

create table conversion_outbox.kept_data (
  event_no bigint primary key,
  look_at  timestamptz not null
);
create index kept_data_due on conversion_outbox.kept_data (look_at);
comment on table conversion_outbox.kept_data is 'Events whose data could not be removed when retention first came by: still open, settled late, or a dead letter.';

create function conversion_outbox.kept_properties(properties jsonb) returns jsonb
language sql immutable parallel safe
as $$
  -- Free text may name somebody; what an order consisted of does not.
  select jsonb_strip_nulls(jsonb_build_object('items', properties -> 'items', 'tax', properties -> 'tax',
    'shipping', properties -> 'shipping', 'coupon', properties -> 'coupon'))
$$;
comment on function conversion_outbox.kept_properties is 'What stays of properties when a person''s data are removed.';

create function conversion_outbox.remove_data(events bigint[], cause text) returns bigint
language sql
as $$
  with removed as (
    update conversion_outbox.event e
       set user_data = '{}', click_ids = '{}', page_url = null, warnings = null, payload_salt = null,
           properties = conversion_outbox.kept_properties(e.properties),
           -- Keys that nobody reads may hold anything.
           consent = (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(e.consent) c
                       where c.key = any (conversion_outbox.known_keys('consent'))),
           data_removed_at = clock_timestamp(), data_removed_by = cause,
           person_withdrawals = coalesce(e.person_withdrawals, (
             select array_agg(w.withdrawal_no order by w.withdrawal_no) from conversion_outbox.withdrawal w
              where w.external_id = sha256(convert_to(e.user_data ->> 'external_id', 'UTF8'))))
     where e.event_no = any (events)
    returning e.event_no)
  select count(*) from removed
$$;
comment on function conversion_outbox.remove_data is 'Removes a person''s data from these events and keeps the proof: ids, times, amounts, what was bought, and the consent on record.';

create function conversion_outbox.remove_old_data(
  grace interval, dead_grace interval, batch integer, clock timestamptz default null, dry_run_above bigint default null
) returns table (looked bigint, removed bigint, looked_to bigint, oldest_due timestamptz)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  moment  timestamptz := coalesce(clock, now());
  mark    bigint;
  asked   bigint[];
  events  bigint[];
  looks   timestamptz[];
  due     bigint[];
  later   bigint[];
begin
  if grace is null or dead_grace is null or batch is null
     or grace < interval '0' or dead_grace < interval '0' or batch not between 1 and 10000 then
    raise exception using errcode = 'OB023', message = 'remove_old_data: grace and dead_grace must not be negative, batch must be 1 to 10000',
      hint = 'Leave this call to the worker or to conversion-outbox privacy retain.';
  end if;
  -- One at a time; until the end of this transaction, so that it holds behind a pooler too.
  if not pg_try_advisory_xact_lock(hashtextextended('conversion_outbox.retention', 4244)) then
    return;
  end if;

  -- Events nobody looked at yet, in their order, up to the first that is too young: a short walk along the primary key.
  select coalesce(nullif(dry_run_above, 0), r.looked_to) into strict mark from conversion_outbox.retention r;
  select coalesce(min(w.event_no) filter (where w.recorded_at > moment - grace) - 1, max(w.event_no), mark),
         coalesce(array_agg(w.event_no order by w.event_no), '{}')
    into looked_to, events
    from (select e.event_no, e.recorded_at from conversion_outbox.event e
           where e.event_no > mark order by e.event_no limit batch) w;
  events := array(select n from unnest(events) n where n <= looked_to);
  -- And those whose time has come again.
  if dry_run_above is null then
    events := events || array(
      select k.event_no from conversion_outbox.kept_data k
       where k.look_at <= moment order by k.look_at limit batch - cardinality(events) for update skip locked);
  elsif dry_run_above = 0 then
    events := events || array(select k.event_no from conversion_outbox.kept_data k where k.look_at <= moment);
  end if;
  asked := events;
  looked := cardinality(asked);

  -- When each is to be looked at again: now, if its time has come. What has no data any more is left out.
  select coalesce(array_agg(l.event_no order by l.event_no), '{}'), coalesce(array_agg(l.look_at order by l.event_no), '{}')
    into events, looks
    from (
      select e.event_no, case when o.is_open then moment + interval '6 hours' else greatest(e.recorded_at + grace, d.due_at) end as look_at
        from conversion_outbox.event e
       cross join lateral (
         select max(d.settled_at + case when d.state in ('rejected', 'uncertain', 'exhausted') then dead_grace else grace end) as due_at,
                -- What waits for a destination that nobody serves any more keeps the data for as long as a dead letter does.
                bool_or((d.state = 'pending' or exists (
                  select from conversion_outbox.request r
                   where r.destination = d.destination and r.receipt = d.receipt and r.settled_at is null))
                  and (exists (select from conversion_outbox.live_destination n where n.name = d.destination)
                       or greatest(d.due_at, d.tried_at, d.settled_at) > moment - dead_grace)) as is_open
           from conversion_outbox.delivery d where d.event_no = e.event_no) d
       cross join lateral (
         select coalesce(d.is_open, false)
             or exists (select from conversion_outbox.queue q where q.event_no = e.event_no)
             -- A refund that is still open takes from its order what its own row leaves out.
             or exists (
                  select from conversion_outbox.event r
                   where r.depends_on = e.event_id and r.reversal_no is not null
                     and (exists (select from conversion_outbox.queue q where q.event_no = r.event_no)
                       or exists (select from conversion_outbox.delivery p where p.event_no = r.event_no and p.state = 'pending')))
             as is_open) o
       where e.event_no = any (asked) and e.data_removed_at is null) l;

  due := array(select l.event_no from unnest(events, looks) as l (event_no, look_at) where l.look_at <= moment);
  if dry_run_above is null then
    -- A row that somebody else has in hand is looked at a little later.
    due := array(select e.event_no from conversion_outbox.event e
                  where e.event_no = any (due) order by e.event_no for update skip locked);
    perform conversion_outbox.remove_data(due, 'retention');
    later := array(select n from unnest(events) n except select n from unnest(due) n);
    delete from conversion_outbox.kept_data k where k.event_no = any (asked) and k.event_no <> all (later);
    insert into conversion_outbox.kept_data as k (event_no, look_at)
    select l.event_no, greatest(l.look_at, moment + interval '1 minute')
      from unnest(events, looks) as l (event_no, look_at) where l.event_no = any (later)
    on conflict (event_no) do update set look_at = excluded.look_at;
    update conversion_outbox.retention r set looked_to = remove_old_data.looked_to where r.looked_to < remove_old_data.looked_to;
  end if;

  removed := cardinality(due);
  select least(
           (select e.recorded_at + grace from conversion_outbox.event e
             where e.event_no > remove_old_data.looked_to order by e.event_no limit 1),
           (select min(k.look_at) from conversion_outbox.kept_data k))
    into oldest_due;
  return next;
end
$$;
comment on function conversion_outbox.remove_old_data is 'Retention: one batch. Removes the data of events all of whose deliveries have been final for the time of grace (dead_grace where one is a dead letter). Returns nothing while another session does it. With dry_run_above nothing is changed: 0 begins, looked_to goes on.';

-- Cancels what waits of these events, removes the person, and says who has, or may have, received what.
create function conversion_outbox.erase_events(events bigint[], reason text) returns jsonb
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  erased    bigint[];
  cancelled bigint;
  in_flight jsonb;
  receipt   jsonb;
begin
  if events is null or coalesce(btrim(reason), '') = '' then
    raise exception using errcode = 'OB024', message = 'erase_events: name the events and give a reason',
      hint = 'Call erase_subject(...), or conversion-outbox privacy erase.';
  end if;
  erased := array(select e.event_no from conversion_outbox.event e where e.event_no = any (events) order by e.event_no for update);

  -- Their rows name the person no more, and what follows them (a refund) never did. Whatever a worker holds of them, it
  -- looks for this before each request.
  insert into conversion_outbox.withdrawal (business_id, signals)
  select distinct e.business_id, array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization']
    from conversion_outbox.event e where e.event_no = any (erased);
  perform conversion_outbox.remove_data(erased, 'erasure');

  -- What nobody holds is cancelled. What somebody holds may be on its way; what somebody held until the lease ran out may
  -- have arrived: both are on the receipt, and how they end is in the proof of the event.
  with free as materialized (
    select q.event_no, q.lease_until is not null and not q.set_aside as was_held from conversion_outbox.queue q
     where q.event_no = any (erased) and (q.lease_until is null or q.lease_until < now() or q.set_aside)
     order by q.event_no for update skip locked),
  unqueued as (
    delete from conversion_outbox.queue q using free where q.event_no = free.event_no),
  never_made as (
    insert into conversion_outbox.delivery as d (event_no, destination, state, reason, settled_at, error_code)
    select free.event_no, n.name, 'cancelled', 'erased', clock_timestamp(), case when free.was_held then 'lease_lost' end
      from free cross join conversion_outbox.live_destination n
    on conflict (event_no, destination) do nothing
    returning d.event_no, d.destination, d.error_code),
  waiting as materialized (
    select d.event_no, d.destination, d.intent_at is null and (d.lease_until is null or d.lease_until < now()) as is_free
      from conversion_outbox.delivery d
     where d.event_no = any (erased) and d.state = 'pending'
     order by d.destination, d.event_no),
  stopped as (
    update conversion_outbox.delivery d
       set state = 'cancelled', reason = 'erased', settled_at = clock_timestamp(), due_at = null,
           error_code = case when d.lease_until is not null then 'lease_lost' else d.error_code end,
           lease_until = null, claim_no = d.claim_no + 1
      from waiting w
     where w.is_free and d.event_no = w.event_no and d.destination = w.destination
       and d.state = 'pending' and d.intent_at is null and (d.lease_until is null or d.lease_until < now())
    returning d.event_no, d.destination, d.error_code),
  ended as (
    select * from never_made union all select * from stopped),
  counted as (
    insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
    select destination, 'cancelled', 0, count(*), 0 from ended group by destination order by destination
    on conflict (destination, state, slot) do update set total = t.total + excluded.total),
  open as (
    select w.event_no, w.destination from waiting w
     where not exists (select from stopped s where s.event_no = w.event_no and s.destination = w.destination)
    union
    select q.event_no, n.name
      from conversion_outbox.queue q cross join conversion_outbox.live_destination n
     where q.event_no = any (erased) and q.event_no not in (select f.event_no from free f)
       and not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name)
    union
    select e.event_no, e.destination from ended e where e.error_code = 'lease_lost'
    union
    -- Of a worker that never came back nobody knows whether its request left.
    select a.event_no, a.destination from conversion_outbox.attempt a
     where a.event_no = any (erased)
     group by a.event_no, a.destination
    having bool_and(coalesce(a.error_code = 'lease_lost', false)))
  select (select count(*) from ended),
         coalesce((select jsonb_object_agg(o.destination, o.n) from (select destination, count(*) as n from open group by destination) o), '{}')
    into cancelled, in_flight;

  select jsonb_build_object(
           'events', cardinality(erased),
           'cancelled', cancelled,
           'in_flight', in_flight,
           'received_by', coalesce(jsonb_object_agg(r.destination, r.n) filter (where r.destination is not null), '{}'),
           'received_at', coalesce(jsonb_object_agg(r.destination, jsonb_build_object('first', r.first, 'last', r.last))
             filter (where r.destination is not null), '{}'))
    into receipt
    from (select d.destination, count(*) as n, max(d.tried_at) as last,
                 min(coalesce(
                   (select min(a.tried_at) from conversion_outbox.attempt a where a.event_no = d.event_no and a.destination = d.destination),
                   d.first_tried_at, d.tried_at)) as first
            from conversion_outbox.delivery d
           where d.event_no = any (erased)
             and d.tries > (select count(*) from conversion_outbox.attempt a
                             where a.event_no = d.event_no and a.destination = d.destination and a.error_code = 'lease_lost')
           group by d.destination) r;
  insert into conversion_outbox.audit (action, reason, details)
  values ('erase', reason, receipt || jsonb_build_object('event_nos', to_jsonb(erased)));
  return receipt;
end
$$;
comment on function conversion_outbox.erase_events is 'Removes a person''s data from these events, cancels what waits, and returns a receipt: events, cancelled, in_flight (a worker holds it, or held it until its lease ran out: it may be on its way or have arrived), received_by (destination: deliveries that had left) and received_at.';

create or replace function conversion_outbox.erase_subject(
  business_ids text[] default null,
  external_id  text default null
) returns jsonb
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  reason text := coalesce(nullif(btrim(current_setting('conversion_outbox.reason', true)), ''), 'erase_subject');
begin
  if num_nonnulls(business_ids, external_id) <> 1 then
    raise exception using errcode = 'OB022', message = 'erase_subject: name exactly one of business_ids and external_id',
      hint = 'Call erase_subject(business_ids => array[...]) or erase_subject(external_id => ...); the latter reads the whole event table.';
  end if;
  if external_id is not null then
    -- The opt-out outlives the erasure, as a digest.
    insert into conversion_outbox.withdrawal (external_id, signals)
    values (sha256(convert_to(external_id, 'UTF8')), array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization']);
    return conversion_outbox.erase_events(array(
      select e.event_no from conversion_outbox.event e where e.user_data ->> 'external_id' = external_id), reason);
  end if;
  -- Also for what is written of them later.
  insert into conversion_outbox.withdrawal (business_id, signals)
  select distinct b, array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization'] from unnest(business_ids) b
   where b is not null and not exists (select from conversion_outbox.event e where e.business_id = b);
  return conversion_outbox.erase_events(array(
    select e.event_no from conversion_outbox.event e where e.business_id = any (business_ids)), reason);
end
$$;

-- Who is asked about by address or number is found by reading: the database cannot hash as the worker does.
create function conversion_outbox.subject_page(above bigint, size integer)
returns table (event_no bigint, user_data jsonb)
language sql stable security definer
set search_path = conversion_outbox, pg_temp
as $$
  select e.event_no,
         jsonb_strip_nulls(jsonb_build_object('email', e.user_data -> 'email', 'phone', e.user_data -> 'phone',
           'external_id', e.user_data -> 'external_id', 'country', e.user_data -> 'country'))
    from (select * from conversion_outbox.event e where e.event_no > above order by e.event_no limit least(size, 10000)) e
$$;
comment on function conversion_outbox.subject_page is 'The next events after a number with what a person can be found by; for an erasure by address, number or id.';

create function conversion_outbox.suppress(key_id text, kinds text[], subjects bytea[], scope text, reason text) returns bigint
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  added bigint;
begin
  insert into conversion_outbox.suppression_key (key_id, algorithm) values (key_id, 'hmac-sha256') on conflict do nothing;
  insert into conversion_outbox.suppression as s (subject, key_id, kind, scope)
  select distinct on (n.subject) n.subject, key_id, n.kind, scope from unnest(subjects, kinds) as n (subject, kind) order by n.subject
  on conflict on constraint suppression_pkey do update
    set scope = excluded.scope, added_at = excluded.added_at, written_by = excluded.written_by where s.scope <> excluded.scope;
  get diagnostics added = row_count;
  insert into conversion_outbox.audit (action, reason, details)
  values ('suppress', reason, jsonb_build_object('key_id', key_id, 'scope', scope, 'asked', cardinality(subjects), 'changed', added));
  return added;
end
$$;
comment on function conversion_outbox.suppress is 'Puts digests on the suppression list. Returns how many rows changed.';

create function conversion_outbox.unsuppress(subjects bytea[], reason text) returns bigint
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  taken bigint;
begin
  delete from conversion_outbox.suppression s where s.subject = any (subjects);
  get diagnostics taken = row_count;
  -- A key that no entry needs any more may be thrown away.
  delete from conversion_outbox.suppression_key k
   where not exists (select from conversion_outbox.suppression s where s.key_id = k.key_id);
  insert into conversion_outbox.audit (action, reason, details)
  values ('unsuppress', reason, jsonb_build_object('asked', cardinality(subjects), 'changed', taken));
  return taken;
end
$$;
comment on function conversion_outbox.unsuppress is 'Takes digests off the suppression list. Returns how many rows went.';

-- Everything that is known of one event's consent and of what was done with it. No personal data: ids, times, codes, and
-- the names of data kinds.
create function conversion_outbox.proof_of(event_id text) returns jsonb
language sql stable security definer
set search_path = conversion_outbox, pg_temp
as $$
  select jsonb_build_object(
    'event', jsonb_build_object('event_id', e.event_id, 'event_name', e.event_name, 'business_id', e.business_id,
      'occurred_at', e.occurred_at, 'recorded_at', e.recorded_at),
    'consent', (
      select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(e.consent) c
       where c.key = any (conversion_outbox.known_keys('consent')) and c.key not in ('tcf', 'gpp'))
      || jsonb_build_object('has_tcf', e.consent ? 'tcf', 'has_gpp', e.consent ? 'gpp'),
    'withdrawals', coalesce((
      select jsonb_agg(jsonb_build_object('withdrawn_at', w.withdrawn_at, 'signals', w.signals,
               'of', case when w.business_id is null then 'person' else 'business_id' end) order by w.withdrawn_at)
        from conversion_outbox.withdrawal w
       where w.business_id = e.business_id or w.withdrawal_no = any (e.person_withdrawals)
          or w.external_id = sha256(convert_to(e.user_data ->> 'external_id', 'UTF8'))), '[]'),
    'data_removed_at', e.data_removed_at, 'data_removed_by', e.data_removed_by,
    'is_queued', exists (select from conversion_outbox.queue q where q.event_no = e.event_no),
    'is_held', exists (select from conversion_outbox.queue q where q.event_no = e.event_no and q.lease_until is not null and not q.set_aside),
    'deliveries', coalesce((
      select jsonb_agg(jsonb_build_object(
               'destination', d.destination, 'platform', n.platform, 'state', d.state, 'reason', d.reason,
               'decided_at', coalesce(d.settled_at, d.tried_at), 'tries', d.tries, 'error_code', d.error_code,
               'allowed_data', coalesce(to_jsonb(conversion_outbox.permit_words(case when d.tries > 0 then d.permit end)), '[]'),
               'payload_hash', case when d.tries > 0 then encode(d.payload_hash, 'hex') end,
               'under_way_since', case when d.state = 'pending' then d.intent_at end,
               'policies', coalesce((
                 select jsonb_agg(jsonb_build_object('version', p.version, 'policy', p.policy) order by p.first_seen_at)
                   from conversion_outbox.policy p
                  where p.destination = d.destination
                    and coalesce(d.tried_at, d.settled_at, d.due_at) between p.first_seen_at - interval '1 minute' and p.last_seen_at + interval '1 minute'), '[]'),
               'requests', coalesce((
                 select jsonb_agg(jsonb_build_object('try', t.try_no, 'sent_at', t.tried_at, 'outcome', t.outcome,
                          'response_code', t.response_code, 'error_code', t.error_code, 'payload_hash', encode(t.payload_hash, 'hex'))
                          order by t.try_no)
                   from conversion_outbox.delivery_attempt t
                  where t.event_no = d.event_no and t.destination = d.destination), '[]'))
               order by d.destination)
        from conversion_outbox.delivery d left join conversion_outbox.destination n on n.name = d.destination
       where d.event_no = e.event_no), '[]'))
    from conversion_outbox.event e
   where e.event_id = proof_of.event_id
$$;
comment on function conversion_outbox.proof_of is 'The evidence of one event: consent, withdrawals, removal, and for each destination what was decided, by which policy, what was asked of the platform and what it answered. Null when there is no such event.';

create function conversion_outbox.privacy_report(since timestamptz, until timestamptz) returns jsonb
language sql stable security definer
set search_path = conversion_outbox, pg_temp
as $$
  with written as materialized (
    select e.event_no, e.consent, e.data_removed_by from conversion_outbox.event e where e.recorded_at >= since and e.recorded_at < until)
  select jsonb_build_object(
    'from', since, 'to', until,
    'events', (select count(*) from written),
    'consent', (
      select coalesce(jsonb_object_agg(s.signal, s.answers), '{}') from (
        select a.signal, jsonb_object_agg(a.answer, a.n) as answers from (
          select signal, coalesce(w.consent ->> signal, 'by_decision') as answer, count(*) as n
            from written w cross join unnest(array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization']) signal
           group by 1, 2) a group by a.signal) s),
    'suppressed', (
      select coalesce(jsonb_object_agg(d.reason, d.n), '{}') from (
        select d.reason, count(*) as n from conversion_outbox.delivery d join written w using (event_no)
         where d.state = 'suppressed' group by d.reason) d),
    'data_removed', (
      select jsonb_build_object('retention', count(*) filter (where data_removed_by = 'retention'),
                                'erasure', count(*) filter (where data_removed_by = 'erasure')) from written),
    'withdrawals', (select count(*) from conversion_outbox.withdrawal w where w.withdrawn_at >= since and w.withdrawn_at < until),
    'done_by_hand', (
      select coalesce(jsonb_object_agg(a.action, a.n), '{}') from (
        select a.action, count(*) as n from conversion_outbox.audit a
         where a.done_at >= since and a.done_at < until and a.action in ('erase', 'suppress', 'unsuppress') group by a.action) a),
    'on_suppression_list', (select count(*) from conversion_outbox.suppression),
    'oldest_personal_data', (select min(e.recorded_at) from conversion_outbox.event e where e.data_removed_at is null))
$$;
comment on function conversion_outbox.privacy_report is 'Counts of what was written in a time: by consent, by reason of suppression, by removal; and how old the oldest personal data are. Reads the whole event table.';

revoke all on conversion_outbox.suppression_key, conversion_outbox.suppression, conversion_outbox.policy, conversion_outbox.retention,
  conversion_outbox.kept_data from public;
revoke all on function conversion_outbox.kept_properties, conversion_outbox.remove_data, conversion_outbox.remove_old_data,
  conversion_outbox.erase_events, conversion_outbox.subject_page, conversion_outbox.suppress, conversion_outbox.unsuppress,
  conversion_outbox.proof_of, conversion_outbox.privacy_report from public;
-- The worker updates no event: it may only ask for data to be removed.
grant execute on function conversion_outbox.remove_old_data to conversion_outbox_worker, conversion_outbox_privacy;
grant select on conversion_outbox.suppression_key, conversion_outbox.suppression to conversion_outbox_worker;
grant select, insert, update on conversion_outbox.policy to conversion_outbox_worker;
grant execute on function conversion_outbox.erase_events, conversion_outbox.subject_page, conversion_outbox.suppress,
  conversion_outbox.unsuppress, conversion_outbox.proof_of, conversion_outbox.privacy_report to conversion_outbox_privacy;
grant select on conversion_outbox.suppression_key, conversion_outbox.policy to conversion_outbox_privacy, conversion_outbox_operator, conversion_outbox_reader;

-- As before, and a row that was rid of its person remembers what that person had taken back by then.
drop function conversion_outbox.withdrawn_signals(text, text, text, timestamptz);

create function conversion_outbox.withdrawn_signals(
  business_id text, external_id text, given_at text, recorded_at timestamptz, person_withdrawals bigint[] default null)
returns table (withdrawn text[])
language sql stable
as $$
  select array_agg(distinct s.signal)
    from (select w.signals, w.withdrawn_at from conversion_outbox.withdrawal w where w.business_id = withdrawn_signals.business_id
          union all
          select w.signals, w.withdrawn_at from conversion_outbox.withdrawal w
           where w.external_id = sha256(convert_to(withdrawn_signals.external_id, 'UTF8'))
          union all
          select w.signals, w.withdrawn_at from conversion_outbox.withdrawal w
           where w.withdrawal_no = any (withdrawn_signals.person_withdrawals)) taken_back
   cross join unnest(taken_back.signals) as s (signal)
   where taken_back.withdrawn_at >= least(conversion_outbox.time_or_null(given_at), recorded_at)
$$;
comment on function conversion_outbox.withdrawn_signals is 'One row: the consent signals that were taken back for an event''s business id or person since consent was given; null when none were.';

create or replace function conversion_outbox.original_of(original text, number integer) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_build_object(
             'event_no', e.event_no, 'event_id', e.event_id, 'event_name', e.event_name, 'business_id', e.business_id,
             'occurred_at', e.occurred_at, 'recorded_at', e.recorded_at, 'value', e.value::text, 'currency', e.currency,
             'consent', e.consent, 'user_data', e.user_data, 'click_ids', e.click_ids,
             'properties', e.properties, 'action_source', e.action_source, 'page_url', e.page_url, 'source', e.source,
             'withdrawn', w.withdrawn, 'is_queued', exists (select from conversion_outbox.queue q where q.event_no = e.event_no),
             'standings', conversion_outbox.standings_of(e.event_no), 'reversals', r.reversals,
             'number', original_of.number)
      from conversion_outbox.event e
     cross join lateral conversion_outbox.withdrawn_signals(
             e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at, e.person_withdrawals) w
     cross join lateral conversion_outbox.reversals_of(e.event_id) r
     where e.event_id = original);
end
$$;

revoke all on function conversion_outbox.withdrawn_signals from public;
grant execute on function conversion_outbox.withdrawn_signals to conversion_outbox_worker;
