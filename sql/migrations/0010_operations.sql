-- What people did by hand, deliveries that a person asked for again, and pauses.
set local role conversion_outbox_owner;

-- A lease that ran out means that a worker was lost, and that it may have sent; an event set aside means neither.
alter table conversion_outbox.queue
  add column set_aside boolean not null default false;
comment on column conversion_outbox.queue.set_aside is 'Whether it only waits until lease_until for a worker that serves what is left of it; nobody holds it.';

-- Whose data are gone is not asked for again. No row breaks the rules yet, so none is looked at.
alter table conversion_outbox.event
  add column data_removed_at timestamptz,
  add column data_removed_by text,
  add constraint a_removal_is_whole check ((data_removed_at is null) = (data_removed_by is null)) not valid,
  add constraint a_removal_has_a_cause check (data_removed_by in ('retention', 'erasure')) not valid;
comment on column conversion_outbox.event.data_removed_at is 'When the person''s data were removed from this row; null while they are there.';
comment on column conversion_outbox.event.data_removed_by is 'retention or erasure; an erasure that comes later counts.';

alter table conversion_outbox.delivery
  add column replayed_at timestamptz,
  add column forced_at   timestamptz;
comment on column conversion_outbox.delivery.replayed_at is 'When a person last asked for it again; such deliveries go after all others.';
comment on column conversion_outbox.delivery.forced_at is 'When a person had it sent again in spite of a doubt or of its age: the deduplication window and the configuration''s own age limit count from here.';

-- A try whose worker never came back took nobody knows how long.
alter table conversion_outbox.attempt alter column duration_ms drop not null;

alter table conversion_outbox.destination
  add column paused_by      text,
  add column paused_because text;
comment on column conversion_outbox.destination.hold_reason is 'Why nothing is sent; null when the destination works. Of a hold "paused" only a person may make an end.';
comment on column conversion_outbox.destination.paused_by is 'The login that paused it.';
comment on column conversion_outbox.destination.paused_because is 'What that login gave as its reason.';
alter table conversion_outbox.rule_hold
  add column paused_by      text,
  add column paused_because text;
comment on column conversion_outbox.rule_hold.paused_by is 'The login that paused it.';
comment on column conversion_outbox.rule_hold.paused_because is 'What that login gave as its reason.';

-- Newest first, and page by page, without reading what was delivered.
create index delivery_dead_by_time on conversion_outbox.delivery (destination, settled_at, event_no)
  where state in ('rejected', 'uncertain', 'exhausted', 'cancelled');

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
comment on table conversion_outbox.audit is 'Who did what by hand, when and why; append-only, but that a long run adds to its own counts.';
comment on column conversion_outbox.audit.login is 'The login that did it, whatever role it acted in.';
comment on column conversion_outbox.audit.details is 'What it concerned: destination, filter, counts, event ids; never personal data.';

create table conversion_outbox.audit_delivery (
  event_no    bigint not null,
  destination text collate "C" not null,
  audit_no    bigint not null,
  state       text   not null,
  reason      text,

  primary key (event_no, destination, audit_no)
);
create index audit_delivery_of on conversion_outbox.audit_delivery (audit_no);
comment on table conversion_outbox.audit_delivery is 'Which deliveries something was done to by hand, and the state that each had before.';

-- Every delivery with what is known of its event, but for the person and the click: what a person judges it by.
create view conversion_outbox.delivery_facts as
  select d.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.action_source, e.depends_on,
         (select o.occurred_at from conversion_outbox.event o where o.event_id = e.depends_on) as original_occurred_at,
         d.destination, d.state, d.reason, d.error_code, d.response_code, d.tries, d.attempts,
         d.first_tried_at, d.tried_at, d.settled_at, d.due_at, d.lease_until, d.intent_at, d.replayed_at, d.forced_at,
         d.payload_hash, d.trace_id,
         exists (select from conversion_outbox.attempt a
                  where a.event_no = d.event_no and a.destination = d.destination and a.outcome = 'ambiguous') as answer_lost,
         e.data_removed_by is not distinct from 'erasure' as is_erased
    from conversion_outbox.delivery d
    join conversion_outbox.event e using (event_no);
comment on view conversion_outbox.delivery_facts is 'Deliveries with the facts of their events that are nobody''s data. answer_lost: some request was never answered.';

create view conversion_outbox.dead_letter as
  select * from conversion_outbox.delivery_facts where state in ('rejected', 'uncertain', 'exhausted');
comment on view conversion_outbox.dead_letter is 'Deliveries that ended without having arrived for certain, and that a person may ask for again.';

-- What no worker has looked at yet has no delivery row, and waits all the same.
create view conversion_outbox.unclaimed_delivery as
  select e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at, e.action_source, e.depends_on,
         n.name as destination
    from conversion_outbox.queue q
    join conversion_outbox.event e using (event_no)
   cross join conversion_outbox.live_destination n
   where (q.lease_until is null or q.set_aside)
     and not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name);
comment on view conversion_outbox.unclaimed_delivery is 'Events and destinations that no worker has looked at yet and none holds.';

create view conversion_outbox.event_log as
  select event_no, event_id, event_name, business_id, occurred_at, recorded_at, value, currency, source, action_source, depends_on
    from conversion_outbox.event;
comment on view conversion_outbox.event_log is 'Events without anything of the person.';

-- Speaks for every mistake in what a person asks for.
create function conversion_outbox.refuse_by_hand(code text, said text, fix text) returns void
language plpgsql
as $$
begin
  raise exception using errcode = code, message = said, hint = fix;
end
$$;
comment on function conversion_outbox.refuse_by_hand is 'Raises OB030 to OB033 for a mistake in what a person asks for.';

create function conversion_outbox.check_reason(reason text) returns void
language plpgsql
as $$
begin
  if coalesce(btrim(reason), '') = '' or char_length(reason) > 500 then
    perform conversion_outbox.refuse_by_hand('OB030', 'a reason of 1 to 500 characters must be given', 'Say why, for those who read the audit later; name no person.');
  end if;
end
$$;
comment on function conversion_outbox.check_reason is 'Whoever does something by hand says why.';

create function conversion_outbox.pause_destination(name text, reason text, rule text default null) returns boolean
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  was_paused boolean;
  -- Far away, and a time that every program can read.
  never constant timestamptz := '9999-12-31 00:00:00+00';
  advice constant text := format('paused by %s: %s; go on with: conversion-outbox destinations resume %s', session_user, reason,
    name || coalesce(' --rule ' || rule, ''));
begin
  perform conversion_outbox.check_reason(reason);
  select d.hold_reason is not distinct from 'paused' into was_paused
    from conversion_outbox.destination d where d.name = pause_destination.name for update;
  if not found then
    perform conversion_outbox.refuse_by_hand('OB031', 'no worker has registered a destination of this name', 'select name from conversion_outbox.destination lists them.');
  end if;
  if rule is null then
    update conversion_outbox.destination d
       set hold_reason = 'paused', hold_code = null, hold_advice = advice, held_since = now(), probe_at = never,
           hold_credential = null, paused_by = session_user, paused_because = reason
     where d.name = pause_destination.name;
  else
    was_paused := exists (
      select from conversion_outbox.rule_hold h where h.destination = name and h.rule = pause_destination.rule and h.reason = 'paused');
    insert into conversion_outbox.rule_hold as h (destination, rule, reason, advice, probe_at, paused_by, paused_because)
    values (name, rule, 'paused', advice, never, session_user, reason)
    on conflict on constraint rule_hold_pkey do update
      set reason = excluded.reason, code = null, advice = excluded.advice, held_since = now(), probe_at = excluded.probe_at,
          paused_by = excluded.paused_by, paused_because = excluded.paused_because;
  end if;
  insert into conversion_outbox.audit (action, reason, details)
  values ('pause', reason, jsonb_strip_nulls(jsonb_build_object('destination', name, 'rule', rule)));
  return not was_paused;
end
$$;
comment on function conversion_outbox.pause_destination is 'Sends nothing to a destination, or for one rule of it, until a person resumes it. Nothing is lost and no attempt is used up. Returns false where it was paused before: then the reason is replaced.';

drop function conversion_outbox.resume_destination(text, text);

create function conversion_outbox.resume_destination(name text, rule text default null, reason text default 'resumed by hand') returns boolean
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  lifted bigint;
  was_held boolean := false;
begin
  perform conversion_outbox.check_reason(reason);
  delete from conversion_outbox.rule_hold h where h.destination = name and (rule is null or h.rule = rule);
  get diagnostics lifted = row_count;
  -- What waits for a rule is due at its probe: it need not wait that long any more.
  update conversion_outbox.delivery d set due_at = now()
   where lifted > 0 and d.destination = name and d.state = 'pending' and d.reason = 'rule_held' and d.due_at > now();
  if rule is null then
    update conversion_outbox.destination d
       set hold_reason = null, hold_code = null, hold_advice = null, held_since = null, probe_at = null, hold_credential = null,
           paused_by = null, paused_because = null
     where d.name = resume_destination.name and d.hold_reason is not null;
    was_held := found;
  end if;
  if lifted = 0 and not was_held then
    return null;
  end if;
  insert into conversion_outbox.audit (action, reason, details)
  values ('resume', reason, jsonb_strip_nulls(jsonb_build_object('destination', name, 'rule', rule, 'rules_lifted', nullif(lifted, 0))));
  return true;
end
$$;
comment on function conversion_outbox.resume_destination is 'Lifts the hold or pause of a destination and of all its rules, or of one rule alone. Returns true when there was one, null otherwise.';

-- A run over many deliveries is many short transactions and one row of the record: the first makes it, the others add.
create function conversion_outbox.open_run(run bigint, action text, reason text, details jsonb) returns bigint
language plpgsql
as $$
#variable_conflict use_variable
begin
  perform conversion_outbox.check_reason(reason);
  if run is null then
    insert into conversion_outbox.audit (action, reason, details) values (action, reason, details) returning audit_no into run;
  elsif not exists (select from conversion_outbox.audit a where a.audit_no = run and a.action = open_run.action
                       and a.login = session_user and a.reason = open_run.reason) then
    perform conversion_outbox.refuse_by_hand('OB032', 'this run is not one of yours', 'Leave run out to begin one.');
  end if;
  return run;
end
$$;
comment on function conversion_outbox.open_run is 'The number of the run''s row in audit.';

create function conversion_outbox.add_to_run(run bigint, counts jsonb) returns void
language sql
as $$
  update conversion_outbox.audit a
     set details = a.details || jsonb_build_object(
           'total', coalesce((a.details ->> 'total')::bigint, 0)
                    + (select coalesce(sum(c.value::bigint), 0) from jsonb_each_text(counts) c),
           'counts', (select coalesce(jsonb_object_agg(s.key, s.n), '{}')
                        from (select c.key, sum(c.value::bigint) as n
                                from (select * from jsonb_each_text(coalesce(a.details -> 'counts', '{}'))
                                      union all select * from jsonb_each_text(counts)) c
                               group by c.key) s))
   where a.audit_no = run
$$;
comment on function conversion_outbox.add_to_run is 'Adds what a batch did to the run''s row in audit: counts by "destination state/reason".';

create function conversion_outbox.check_batch(event_nos bigint[], destinations text[]) returns void
language plpgsql
as $$
begin
  if coalesce(cardinality(event_nos), 0) not between 1 and 1000 or cardinality(event_nos) is distinct from cardinality(destinations) then
    perform conversion_outbox.refuse_by_hand('OB033', 'name 1 to 1000 deliveries: as many events as destinations',
      'Take them from conversion_outbox.dead_letter, a thousand at a time.');
  end if;
end
$$;
comment on function conversion_outbox.check_batch is 'A batch is small, so that no lock is held for long.';

create function conversion_outbox.replay_deliveries(
  event_nos    bigint[],
  destinations text[],
  reason       text,
  filter       jsonb default '{}',
  forced       boolean default false,
  run          bigint default null,
  out audit_no bigint,
  out replayed bigint
)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_column
declare
  counts jsonb;
begin
  perform conversion_outbox.check_batch(event_nos, destinations);
  audit_no := conversion_outbox.open_run(run, 'replay', replay_deliveries.reason, jsonb_build_object('filter', filter, 'forced', forced));
  with wanted as (
    select distinct w.event_no, w.destination from unnest(event_nos, destinations) as w (event_no, destination)),
  -- What was accepted or sent is never among them, nor what waits. What somebody else is at is passed over.
  chosen as materialized (
    select d.*, d.state = 'uncertain' or d.first_tried_at is not null as in_doubt
      from conversion_outbox.delivery d join wanted w on w.event_no = d.event_no and w.destination = d.destination
     where d.state in ('rejected', 'uncertain', 'exhausted') or (d.state = 'cancelled' and d.reason = 'by_operator')
     order by d.event_no, d.destination
       for update of d skip locked),
  -- A refund that had nothing to take back has now, wherever it is told: the worker looks again.
  followers as materialized (
    select d.*, false as in_doubt
      from chosen c
      join conversion_outbox.event e on e.event_no = c.event_no
      join conversion_outbox.event r on r.depends_on = e.event_id and r.reversal_no is not null
      join conversion_outbox.delivery d on d.event_no = r.event_no and d.state = 'skipped' and d.reason = 'original_not_sent'
     order by d.event_no, d.destination
       for update of d skip locked),
  taken as materialized (
    select c.*, false as follows from chosen c
    union all select distinct f.*, true from followers f),
  -- A delivery that was settled by its first try is its own record of it, until that try is not the last one any more.
  recorded as (
    insert into conversion_outbox.attempt
      (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id)
    select c.event_no, c.destination, c.tries, conversion_outbox.last_outcome(c.state, c.receipt, c.response_code), c.attempts > 0,
           c.tried_at, c.duration_ms, c.response_code, c.error_code, c.payload_hash, c.trace_id
      from taken c where c.state <> 'cancelled' and c.tries > 0 and c.tried_at is not null and c.payload_hash is not null
    on conflict (event_no, destination, try_no) do nothing),
  again as (
    update conversion_outbox.delivery d
       set state = 'pending', reason = 'replayed', due_at = now(), settled_at = null, lease_until = null, intent_at = null,
           -- Nobody who held it before may write to it any more.
           claim_no = d.claim_no + 1, attempts = 0, replayed_at = now(), forced_at = case when forced then now() end,
           response_code = null, error_code = null, receipt = null, company = null,
           -- What the platform certainly did not take may be sent as it is made now. What it may have taken must not change.
           payload_hash = case when c.in_doubt then d.payload_hash end, permit = case when c.in_doubt then d.permit end,
           first_tried_at = case when c.in_doubt then coalesce(d.first_tried_at, d.tried_at) end
      from taken c
     where d.event_no = c.event_no and d.destination = c.destination
    returning d.event_no, d.destination, c.state, c.reason, d.tries, c.follows),
  listed as (
    insert into conversion_outbox.audit_delivery (event_no, destination, audit_no, state, reason)
    select a.event_no, a.destination, replay_deliveries.audit_no, a.state, a.reason from again a
    on conflict do nothing),
  counted as (
    insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
    select a.destination, a.state, 0, -count(*), -count(*) filter (where a.tries > 1)
      from again a group by a.destination, a.state order by a.destination, a.state
    on conflict (destination, state, slot) do update set total = t.total + excluded.total, retried = t.retried + excluded.retried)
  select coalesce(jsonb_object_agg(g.what, g.n), '{}'), coalesce(sum(g.asked_for), 0) into counts, replayed
    from (select a.destination || ' ' || concat_ws('/', a.state, a.reason) as what, count(*) as n,
                 count(*) filter (where not a.follows) as asked_for from again a group by 1) g;
  perform conversion_outbox.add_to_run(audit_no, counts);
end
$$;
comment on function conversion_outbox.replay_deliveries is 'Has dead letters, and what an operator skipped, sent again. Never what was accepted or sent. Unless forced, a worker still refuses what could count twice. Refunds that were not told for want of their original come along. Returns the run''s row in audit (to be handed in with the next batch) and how many of those asked for it were.';

create function conversion_outbox.skip_deliveries(
  event_nos    bigint[],
  destinations text[],
  reason       text,
  filter       jsonb default '{}',
  run          bigint default null,
  out audit_no bigint,
  out skipped  bigint
)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_column
declare
  counts jsonb;
begin
  perform conversion_outbox.check_batch(event_nos, destinations);
  audit_no := conversion_outbox.open_run(run, 'skip', skip_deliveries.reason, jsonb_build_object('filter', filter));
  with wanted as (
    select distinct w.event_no, w.destination from unnest(event_nos, destinations) as w (event_no, destination)),
  -- A lease that ran out may still be a request under way: such a delivery is its next worker's.
  chosen as materialized (
    select d.*
      from conversion_outbox.delivery d join wanted w on w.event_no = d.event_no and w.destination = d.destination
     where d.state in ('rejected', 'uncertain', 'exhausted')
        or (d.state = 'pending' and d.lease_until is null and d.intent_at is null)
        -- Its next worker will never come: nobody serves the destination any more.
        or (d.state = 'pending' and d.lease_until < now() - interval '10 minutes'
            and not exists (select from conversion_outbox.live_destination n where n.name = d.destination))
     order by d.event_no, d.destination
       for update of d skip locked),
  recorded as (
    insert into conversion_outbox.attempt
      (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id)
    select c.event_no, c.destination, c.tries, conversion_outbox.last_outcome(c.state, c.receipt, c.response_code), c.attempts > 0,
           c.tried_at, c.duration_ms, c.response_code, c.error_code, c.payload_hash, c.trace_id
      from chosen c where c.state <> 'pending' and c.tries > 0 and c.tried_at is not null and c.payload_hash is not null
    on conflict (event_no, destination, try_no) do nothing),
  -- What no worker has looked at yet. Whoever claims the event next asks what is done already.
  free as materialized (
    select q.event_no from conversion_outbox.queue q
     where q.event_no in (select w.event_no from wanted w) and (q.lease_until is null or q.set_aside)
     order by q.event_no
       for update skip locked),
  marked as (
    update conversion_outbox.queue q set claim_no = q.claim_no + 1 from free where q.event_no = free.event_no),
  never_made as (
    insert into conversion_outbox.delivery as d (event_no, destination, state, reason, settled_at)
    select w.event_no, w.destination, 'cancelled', 'by_operator', clock_timestamp()
      from wanted w join free on free.event_no = w.event_no
      join conversion_outbox.live_destination n on n.name = w.destination
    on conflict (event_no, destination) do nothing
    returning d.event_no, d.destination),
  stopped as (
    update conversion_outbox.delivery d
       set state = 'cancelled', reason = 'by_operator', settled_at = clock_timestamp(), due_at = null, company = null, lease_until = null, intent_at = null,
           claim_no = d.claim_no + 1,
           -- It may have arrived, and stays in doubt for whoever asks for it again.
           first_tried_at = case when c.state = 'uncertain' then coalesce(d.first_tried_at, d.tried_at) else d.first_tried_at end
      from chosen c
     where d.event_no = c.event_no and d.destination = c.destination
    returning d.event_no, d.destination, c.state, c.reason, d.tries),
  ended as (
    select * from stopped
    union all select m.event_no, m.destination, 'pending', null, 0::smallint from never_made m),
  listed as (
    insert into conversion_outbox.audit_delivery (event_no, destination, audit_no, state, reason)
    select e.event_no, e.destination, skip_deliveries.audit_no, e.state, e.reason from ended e
    on conflict do nothing),
  counted as (
    insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
    select e.destination, s.state, 0, sum(s.sign), coalesce(sum(s.sign) filter (where e.tries > 1), 0)
      from ended e cross join lateral (values (e.state, -1), ('cancelled', 1)) as s (state, sign)
     where s.state <> 'pending'
     group by e.destination, s.state order by e.destination, s.state
    on conflict (destination, state, slot) do update set total = t.total + excluded.total, retried = t.retried + excluded.retried)
  select coalesce(jsonb_object_agg(g.what, g.n), '{}') into counts
    from (select e.destination || ' ' || concat_ws('/', e.state, e.reason) as what, count(*) as n from ended e group by 1) g;
  select coalesce(sum(c.value::bigint), 0) into skipped from jsonb_each_text(counts) c;
  perform conversion_outbox.add_to_run(audit_no, counts);
end
$$;
comment on function conversion_outbox.skip_deliveries is 'Ends dead letters, and what waits and no worker holds (looked at by one before or not), as cancelled/by_operator. Returns the run''s row in audit (to be handed in with the next batch) and how many it were.';

create function conversion_outbox.last_outcome(state text, receipt text, response_code smallint) returns text
language sql immutable
as $$
  select case
    when receipt is not null then 'sent'
    when state = 'rejected' then 'rejected'
    when state = 'uncertain' or response_code is null then 'ambiguous'
    else 'retry'
  end
$$;
comment on function conversion_outbox.last_outcome is 'How the only try of a dead letter ended, as its row tells it.';

create function conversion_outbox.event_life(event_id text) returns jsonb
language sql stable security definer
set search_path = conversion_outbox, pg_temp
set timezone = 'UTC'
as $$
  select jsonb_build_object(
    'event', jsonb_build_object(
      'event_no', e.event_no, 'event_id', e.event_id, 'event_name', e.event_name, 'business_id', e.business_id,
      'occurred_at', e.occurred_at, 'recorded_at', e.recorded_at, 'value', e.value::text, 'currency', e.currency,
      'source', e.source, 'action_source', e.action_source, 'depends_on', e.depends_on, 'reversal_no', e.reversal_no,
      'has_page_url', e.page_url is not null, 'traceparent', e.traceparent,
      'data_removed_at', e.data_removed_at, 'data_removed_by', e.data_removed_by),
    -- Which kinds were there, never what they were. A key that nobody reads may be a datum itself.
    'data', jsonb_build_object(
      'user_data', (select coalesce(jsonb_agg(k order by k), '[]') from jsonb_object_keys(e.user_data) k
                     where k = any (conversion_outbox.known_keys('user_data'))),
      'click_ids', (select coalesce(jsonb_agg(k order by k), '[]') from jsonb_object_keys(e.click_ids) k
                     where k = any (conversion_outbox.known_keys('click_ids'))),
      'properties', (select count(*) from jsonb_object_keys(e.properties)),
      'items', case when jsonb_typeof(e.properties -> 'items') = 'array' then jsonb_array_length(e.properties -> 'items') else 0 end),
    'consent', jsonb_strip_nulls(jsonb_build_object(
      'ad_storage', e.consent -> 'ad_storage', 'analytics_storage', e.consent -> 'analytics_storage',
      'ad_user_data', e.consent -> 'ad_user_data', 'ad_personalization', e.consent -> 'ad_personalization',
      'given_at', left(e.consent ->> 'given_at', 40), 'source', left(e.consent ->> 'source', 100),
      'version', left(e.consent ->> 'version', 100), 'legal_basis', left(e.consent ->> 'legal_basis', 100),
      'region', left(e.consent ->> 'region', 40), 'gpc', e.consent -> 'gpc' is not null and e.consent ->> 'gpc' is distinct from 'false',
      'tcf', e.consent ? 'tcf', 'gpp', e.consent ? 'gpp', 'decision', e.consent -> 'decision', 'withdrawn', w.withdrawn)),
    'warnings', coalesce(e.warnings, '[]'),
    'repeats', (select to_jsonb(r) - 'event_id' from conversion_outbox.repeat r where r.event_id = e.event_id),
    'withdrawals', (
      select coalesce(jsonb_agg(jsonb_build_object('by', case when t.business_id is null then 'person' else 'business_id' end,
               'signals', t.signals, 'withdrawn_at', t.withdrawn_at) order by t.withdrawn_at), '[]')
        from (select * from conversion_outbox.withdrawal a where a.business_id = e.business_id
              union all
              select * from conversion_outbox.withdrawal a
               where a.external_id = sha256(convert_to(e.user_data ->> 'external_id', 'UTF8'))) t),
    'original', (
      select jsonb_build_object('event_id', e.depends_on, 'occurred_at', max(o.occurred_at),
               'standings', conversion_outbox.standings_of(max(o.event_no)))
        from conversion_outbox.event o where o.event_id = e.depends_on having e.depends_on is not null),
    'reversals', (
      select coalesce(jsonb_agg(jsonb_build_object('event_id', r.event_id, 'event_name', r.event_name, 'number', r.reversal_no,
               'value', r.value::text, 'currency', r.currency, 'recorded_at', r.recorded_at,
               'standings', conversion_outbox.standings_of(r.event_no)) order by r.reversal_no, r.event_no), '[]')
        from conversion_outbox.event r where r.depends_on = e.event_id and r.reversal_no is not null),
    'queued', (select jsonb_build_object('claim_no', q.claim_no, 'lease_until', q.lease_until)
                 from conversion_outbox.queue q where q.event_no = e.event_no),
    'deliveries', (
      select coalesce(jsonb_agg(one.delivery order by one.destination), '[]')
        from (
          select d.destination, jsonb_build_object(
                   'destination', d.destination, 'platform', n.platform, 'state', d.state, 'reason', d.reason,
                   'tries', d.tries, 'attempts', d.attempts, 'response_code', d.response_code, 'error_code', d.error_code,
                   'first_tried_at', d.first_tried_at, 'tried_at', d.tried_at, 'settled_at', d.settled_at, 'due_at', d.due_at,
                   'lease_until', d.lease_until, 'intent_at', d.intent_at, 'expires_at', d.expires_at,
                   'replayed_at', d.replayed_at, 'forced_at', d.forced_at, 'payload_hash', encode(d.payload_hash, 'hex'),
                   'trace_id', encode(d.trace_id, 'hex'), 'allowed_data', conversion_outbox.permit_words(d.permit),
                   'attempt_log', (
                     select coalesce(jsonb_agg(jsonb_build_object('try_no', a.try_no, 'outcome', a.outcome, 'counted', a.counted,
                              'tried_at', a.tried_at, 'duration_ms', a.duration_ms, 'response_code', a.response_code,
                              'error_code', a.error_code, 'payload_hash', encode(a.payload_hash, 'hex'),
                              'trace_id', encode(a.trace_id, 'hex')) order by a.try_no), '[]')
                       from conversion_outbox.delivery_attempt a
                      where a.event_no = d.event_no and a.destination = d.destination),
                   'late_answer', (
                     select to_jsonb(r) - 'destination' - 'claim_no' - 'lease_until'
                       from conversion_outbox.request r where r.destination = d.destination and r.receipt = d.receipt),
                   'hold', (
                     select jsonb_build_object('reason', n.hold_reason, 'code', n.hold_code, 'advice', n.hold_advice,
                              'since', n.held_since, 'paused_by', n.paused_by, 'paused_because', n.paused_because)
                      where n.hold_reason is not null),
                   'held_rules', (select coalesce(jsonb_agg(h.rule order by h.rule), '[]')
                                    from conversion_outbox.rule_hold h where h.destination = d.destination)) as delivery
            from conversion_outbox.delivery d left join conversion_outbox.destination n on n.name = d.destination
           where d.event_no = e.event_no
          union all
          -- Nobody has looked at it yet for these.
          select l.name, jsonb_build_object('destination', l.name, 'platform', l.platform, 'state', 'pending', 'reason', null,
                   'tries', 0, 'attempts', 0, 'attempt_log', '[]'::jsonb)
            from conversion_outbox.live_destination l
           where exists (select from conversion_outbox.queue q where q.event_no = e.event_no)
             and not exists (select from conversion_outbox.delivery d where d.event_no = e.event_no and d.destination = l.name)
        ) one),
    'audit', (
      select coalesce(jsonb_agg(jsonb_build_object('audit_no', a.audit_no, 'done_at', a.done_at, 'login', a.login,
               'action', a.action, 'reason', a.reason, 'forced', a.details -> 'forced', 'destination', x.destination,
               'was_state', x.state, 'was_reason', x.reason) order by a.audit_no, x.destination), '[]')
        from conversion_outbox.audit_delivery x join conversion_outbox.audit a using (audit_no)
       where x.event_no = e.event_no))
    from conversion_outbox.event e
   cross join lateral conversion_outbox.withdrawn_signals(
           e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at) w
   where e.event_id = event_life.event_id
$$;
comment on function conversion_outbox.event_life is 'Everything that is known of one event and its deliveries, without anything of the person; null when there is no such event.';

revoke all on conversion_outbox.audit, conversion_outbox.audit_delivery, conversion_outbox.delivery_facts, conversion_outbox.dead_letter,
  conversion_outbox.unclaimed_delivery, conversion_outbox.event_log from public;
grant select on conversion_outbox.audit to conversion_outbox_reader, conversion_outbox_operator, conversion_outbox_privacy;
grant select on conversion_outbox.audit_delivery, conversion_outbox.delivery_facts, conversion_outbox.dead_letter,
  conversion_outbox.unclaimed_delivery, conversion_outbox.event_log to conversion_outbox_reader, conversion_outbox_operator;
revoke all on function conversion_outbox.refuse_by_hand, conversion_outbox.check_reason, conversion_outbox.pause_destination,
  conversion_outbox.resume_destination, conversion_outbox.open_run, conversion_outbox.add_to_run, conversion_outbox.check_batch,
  conversion_outbox.replay_deliveries, conversion_outbox.skip_deliveries, conversion_outbox.last_outcome, conversion_outbox.event_life
  from public;
grant execute on function conversion_outbox.pause_destination, conversion_outbox.resume_destination, conversion_outbox.replay_deliveries,
  conversion_outbox.skip_deliveries, conversion_outbox.event_life to conversion_outbox_operator;

-- --- against rows that a superuser writes past the triggers ---

-- A worker reads some hundred rows at a time, so no row may be huge. The trigger keeps applications far below (64 kB a json
-- column, and what is too long is dropped); a check also holds where triggers are off. It looks at sizes only, which are
-- there already, and at no row that exists.
alter table conversion_outbox.event
  add constraint no_column_is_huge check (
    pg_column_size(consent) <= 1048576 and pg_column_size(user_data) <= 1048576 and pg_column_size(click_ids) <= 1048576
    and pg_column_size(properties) <= 1048576
    and octet_length(concat(action_source, page_url, source, depends_on, traceparent, tracestate)) <= 1048576
  ) not valid;

-- The worker's JSON library takes a member of this one name for a number that it wrote itself, and cannot read a row where it
-- is none. Such a column is dropped with a warning like any other that nobody could read, and its order goes on.
create or replace function conversion_outbox.is_readable(fields jsonb) returns boolean
language sql stable parallel safe
as $$
  -- A number such as 1e131071 is stored in a few bytes and printed with as many digits: nobody could read the row. Columns
  -- that hold nothing but texts, as most do, need no closer look.
  select pg_column_size(fields) <= 65536
     and not fields ? '$serde_json::private::Number'
     and (not fields @? 'strict $.* ? (@.type() != "string")'
       or not fields @? 'strict $.** ? (@.type() == "number" && (@ > 1e30 || @ < -1e30 || (@ != 0 && @ < 1e-30 && @ > -1e-30)))'
          and not fields @? 'strict $.**{64}'
          and not fields @? 'lax $.**."$serde_json::private::Number"')
$$;
comment on function conversion_outbox.is_readable is 'Whether a json column is small and shallow enough to be read by everybody: 64 kB, 64 levels, numbers up to 1e30, no member called $serde_json::private::Number.';
