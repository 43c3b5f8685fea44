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
grant select on conversion_outbox.audit to conversion_outbox_worker;

-- Pausing is a hold that only a person lifts: no answer, no probe and no new credential does.
create function conversion_outbox.pause_destination(name text, reason text) returns boolean
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
begin
  update conversion_outbox.destination d
     set hold_reason = 'paused', hold_code = null, hold_credential = null, probe_at = '9999-12-31 00:00+00',
         hold_advice = format('paused by %s: %s', session_user, reason),
         held_since = case when d.hold_reason = 'paused' then d.held_since else now() end
   where d.name = pause_destination.name;
  if not found then
    return false;
  end if;
  insert into conversion_outbox.audit (action, reason, details)
  values ('pause', reason, jsonb_build_object('destination', name));
  return true;
end
$$;
comment on function conversion_outbox.pause_destination is 'Stops sending to a destination until somebody resumes it. Nothing is lost and no attempts are used up. Returns false when no worker has registered it.';

drop function conversion_outbox.resume_destination(text, text);

create function conversion_outbox.resume_destination(name text, rule text default null, reason text default 'resumed by hand')
returns boolean
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  lifted bigint;
  was_held boolean := false;
begin
  delete from conversion_outbox.rule_hold h where h.destination = name and (rule is null or h.rule = rule);
  get diagnostics lifted = row_count;
  -- What waits for a rule is due at its probe: it need not wait that long any more.
  update conversion_outbox.delivery d set due_at = now()
   where lifted > 0 and d.destination = name and d.state = 'pending' and d.reason = 'rule_held' and d.due_at > now();
  if rule is null then
    update conversion_outbox.destination d
       set hold_reason = null, hold_code = null, hold_advice = null, held_since = null, probe_at = null, hold_credential = null
     where d.name = resume_destination.name and d.hold_reason is not null;
    was_held := found;
  end if;
  if lifted = 0 and not was_held then
    return null;
  end if;
  insert into conversion_outbox.audit (action, reason, details)
  values ('resume', reason, jsonb_strip_nulls(jsonb_build_object('destination', name, 'rule', rule)));
  return true;
end
$$;
comment on function conversion_outbox.resume_destination is 'Lifts the hold or pause of a destination and the holds of all its rules, or of one rule alone. Returns true when there was one, null otherwise.';

-- Sets ended deliveries going again. What was accepted or sent never is.
create function conversion_outbox.replay_deliveries(
  event_nos    bigint[],
  destinations text[],
  reason       text,
  doubt        text default 'refuse',
  details      jsonb default '{}'
) returns table (event_no bigint, destination text)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_column
begin
  if doubt is null or doubt not in ('refuse', 'keep', 'forget') then
    raise exception using errcode = 'OB030', message = 'replay_deliveries: doubt must be refuse, keep or forget',
      hint = 'refuse: what may have arrived stays as it is. keep: it is sent again within the time in which the platform discards repeats. forget: it is sent again, and may count twice.';
  end if;
  return query
  with chosen as materialized (
    select d.*
      from conversion_outbox.delivery d
      join unnest(replay_deliveries.event_nos, replay_deliveries.destinations) as w (event_no, destination)
        on d.event_no = w.event_no and d.destination = w.destination
     where (d.state in ('rejected', 'uncertain', 'exhausted') or (d.state = 'cancelled' and d.reason = 'by_operator'))
       and (replay_deliveries.doubt <> 'refuse' or (d.state <> 'uncertain' and d.first_tried_at is null))
     order by d.event_no, d.destination
       for update of d),
  -- A delivery that was settled by its first try is its own record of it, until that try is not the last one any more.
  recorded as (
    insert into conversion_outbox.attempt
      (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash, trace_id)
    select c.event_no, c.destination, c.tries,
           case c.state when 'uncertain' then 'ambiguous' when 'exhausted' then 'retry' else 'rejected' end,
           c.attempts > 0, c.tried_at, coalesce(c.duration_ms, 0), c.response_code, c.error_code, c.payload_hash, c.trace_id
      from chosen c
     where c.tries > 0 and c.tried_at is not null and c.payload_hash is not null
    on conflict (event_no, destination, try_no) do nothing),
  -- What the platform refused it never took: it may be told anew, as the row and the configuration say by now.
  again as (
    update conversion_outbox.delivery d
       set state = 'pending', reason = 'replayed', due_at = now(), replayed_at = now(), settled_at = null, attempts = 0,
           claim_no = d.claim_no + 1, intent_at = null, lease_until = null, receipt = null, company = null, error_code = null,
           first_tried_at = case when replay_deliveries.doubt <> 'forget' then d.first_tried_at end,
           permit = case when c.state <> 'rejected' or c.first_tried_at is not null then d.permit end,
           payload_hash = case when c.state <> 'rejected' or c.first_tried_at is not null then d.payload_hash end
      from chosen c
     where d.event_no = c.event_no and d.destination = c.destination
    returning d.event_no, d.destination, c.state, d.tries),
  uncounted as (
    insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
    select a.destination, a.state, 0, -count(*), -count(*) filter (where a.tries > 1)
      from again a group by a.destination, a.state order by a.destination, a.state
    on conflict (destination, state, slot) do update
      set total = t.total + excluded.total, retried = t.retried + excluded.retried),
  noted as (
    insert into conversion_outbox.audit (action, reason, details)
    select 'replay', replay_deliveries.reason, replay_deliveries.details || jsonb_build_object(
             'doubt', replay_deliveries.doubt, 'deliveries', count(*), 'event_ids', coalesce(jsonb_agg(distinct e.event_id), '[]'))
      from again a join conversion_outbox.event e on e.event_no = a.event_no)
  select a.event_no, a.destination from again a;
end
$$;
comment on function conversion_outbox.replay_deliveries is 'Sets dead letters, and what an operator cancelled, going again, one array element each; returns those that were. doubt: refuse (default) leaves what may have arrived alone, keep sends it within the platform''s window, forget sends it in any case.';

create function conversion_outbox.skip_deliveries(
  event_nos    bigint[],
  destinations text[],
  reason       text,
  details      jsonb default '{}'
) returns table (event_no bigint, destination text)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_column
begin
  return query
  with chosen as materialized (
    select d.event_no, d.destination, d.state, d.tries
      from conversion_outbox.delivery d
      join unnest(skip_deliveries.event_nos, skip_deliveries.destinations) as w (event_no, destination)
        on d.event_no = w.event_no and d.destination = w.destination
     where d.state in ('rejected', 'uncertain', 'exhausted')
        -- What a worker holds, or may have sent, tells how it went.
        or (d.state = 'pending' and d.intent_at is null and d.lease_until is null)
     order by d.event_no, d.destination
       for update of d),
  ended as (
    update conversion_outbox.delivery d
       set state = 'cancelled', reason = 'by_operator', settled_at = clock_timestamp(), due_at = null, claim_no = d.claim_no + 1
      from chosen c
     where d.event_no = c.event_no and d.destination = c.destination
    returning d.event_no, d.destination, c.state, d.tries),
  counted as (
    insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
    select e.destination, s.state, 0, s.sign * count(*), s.sign * count(*) filter (where e.tries > 1)
      from ended e cross join lateral (values (e.state, -1), ('cancelled', 1)) as s (state, sign)
     where s.state <> 'pending'
     group by e.destination, s.state, s.sign order by e.destination, s.state
    on conflict (destination, state, slot) do update
      set total = t.total + excluded.total, retried = t.retried + excluded.retried),
  noted as (
    insert into conversion_outbox.audit (action, reason, details)
    select 'skip', skip_deliveries.reason, skip_deliveries.details || jsonb_build_object(
             'deliveries', count(*), 'event_ids', coalesce(jsonb_agg(distinct v.event_id), '[]'))
      from ended e join conversion_outbox.event v on v.event_no = e.event_no)
  select e.event_no, e.destination from ended e;
end
$$;
comment on function conversion_outbox.skip_deliveries is 'Ends dead letters and waiting deliveries as cancelled, one array element each; returns those that were. What a worker holds is left alone.';

-- One event's whole life without anything personal: what was recorded, decided, sent and answered, and by whom it was touched.
create function conversion_outbox.event_life(event_id text) returns jsonb
language sql stable security definer
set search_path = conversion_outbox, pg_temp
set timezone = 'UTC'
as $$
  select jsonb_build_object(
    'event_no', e.event_no, 'event_id', e.event_id, 'event_name', e.event_name, 'business_id', e.business_id,
    'occurred_at', e.occurred_at, 'recorded_at', e.recorded_at, 'value', e.value::text, 'currency', e.currency,
    'source', e.source, 'action_source', e.action_source, 'depends_on', e.depends_on, 'reversal_no', e.reversal_no,
    'traceparent', e.traceparent, 'warnings', coalesce(e.warnings, '[]'),
    -- Which kinds of data the row holds, never what they are; of the keys only those that are known.
    'holds', jsonb_build_object(
      'user_data', (select coalesce(jsonb_agg(k order by k), '[]') from jsonb_object_keys(e.user_data) k where k = any (conversion_outbox.known_keys('user_data'))),
      'click_ids', (select coalesce(jsonb_agg(k order by k), '[]') from jsonb_object_keys(e.click_ids) k where k = any (conversion_outbox.known_keys('click_ids')))),
    'consent', (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(e.consent) c
                 where c.key in ('ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization', 'given_at', 'source', 'version',
                                 'legal_basis', 'region', 'gpc', 'decision')),
    'consent_strings', (select coalesce(jsonb_agg(k order by k), '[]') from jsonb_object_keys(e.consent) k where k in ('tcf', 'gpp')),
    'repeats', (select jsonb_build_object('duplicates', r.duplicates, 'conflicts', r.conflicts, 'differs', r.differs,
                  'first_seen_at', r.first_seen_at, 'last_seen_at', r.last_seen_at)
                  from conversion_outbox.repeat r where r.event_id = e.event_id),
    'withdrawals', coalesce((
      select jsonb_agg(jsonb_build_object('at', w.withdrawn_at, 'signals', w.signals,
               'of', case when w.business_id is null then 'person' else 'business_id' end) order by w.withdrawn_at)
        from conversion_outbox.withdrawal w
       where w.business_id = e.business_id or w.external_id = sha256(convert_to(e.user_data ->> 'external_id', 'UTF8'))), '[]'),
    'reversed_by', coalesce((
      select jsonb_agg(jsonb_build_object('event_id', r.event_id, 'number', r.reversal_no, 'value', r.value::text, 'recorded_at', r.recorded_at) order by r.reversal_no, r.event_no)
        from conversion_outbox.event r where r.depends_on = e.event_id and r.reversal_no is not null), '[]'),
    'claimed_until', (select q.lease_until from conversion_outbox.queue q where q.event_no = e.event_no and not q.set_aside),
    'is_queued', exists (select from conversion_outbox.queue q where q.event_no = e.event_no),
    'deliveries', coalesce((
      select jsonb_agg(jsonb_build_object(
               'destination', l.destination, 'platform', l.platform, 'state', l.state, 'reason', l.reason, 'error_code', l.error_code,
               'response_code', l.response_code, 'tries', l.tries, 'attempts', l.attempts, 'tried_at', l.tried_at,
               'settled_at', l.settled_at, 'due_at', l.due_at, 'expires_at', l.expires_at,
               'in_doubt_since', d.first_tried_at, 'announced_at', d.intent_at, 'leased_until', d.lease_until, 'replayed_at', d.replayed_at,
               'payload_sha256', encode(l.payload_hash, 'hex'), 'trace_id', encode(l.trace_id, 'hex'), 'allowed_data', l.allowed_data,
               'hold', (select jsonb_build_object('reason', n.hold_reason, 'advice', n.hold_advice, 'since', n.held_since)
                          from conversion_outbox.destination n where n.name = l.destination and n.hold_reason is not null),
               'late_answer', (select jsonb_build_object('receipt', q.receipt, 'status', q.status, 'reasons', q.reasons, 'asked', q.asked,
                                        'sent_at', q.sent_at, 'due_at', q.due_at, 'settled_at', q.settled_at)
                                 from conversion_outbox.request q where q.destination = l.destination and q.receipt = l.receipt),
               'log', coalesce((
                 select jsonb_agg(jsonb_build_object('try', a.try_no, 'at', a.tried_at, 'outcome', a.outcome, 'code', a.error_code,
                          'response_code', a.response_code, 'duration_ms', a.duration_ms, 'counted', a.counted,
                          'payload_sha256', encode(a.payload_hash, 'hex'), 'trace_id', encode(a.trace_id, 'hex')) order by a.try_no)
                   from conversion_outbox.delivery_attempt a
                  where a.event_no = l.event_no and a.destination = l.destination), '[]')) order by l.destination)
        from conversion_outbox.delivery_log l
        left join conversion_outbox.delivery d on d.event_no = l.event_no and d.destination = l.destination
       where l.event_no = e.event_no), '[]'),
    'by_hand', coalesce((
      select jsonb_agg(jsonb_build_object('at', a.done_at, 'login', a.login, 'action', a.action, 'reason', a.reason) order by a.audit_no)
        from conversion_outbox.audit a where a.details -> 'event_ids' ? e.event_id), '[]'))
    from conversion_outbox.event e
   where e.event_id = event_life.event_id
$$;
comment on function conversion_outbox.event_life is 'One event''s whole life as json, without personal data; null when there is no such event.';
create index audit_of_event on conversion_outbox.audit using gin ((details -> 'event_ids'));

-- What has ended badly, in groups, with what to look at first.
create view conversion_outbox.dead_letter_group as
  select d.destination, n.platform, d.state, d.reason, d.error_code, count(*) as deliveries,
         min(d.settled_at) as oldest_at, max(d.settled_at) as newest_at, max(d.event_no) as sample_event_no
    from conversion_outbox.delivery d
    left join conversion_outbox.destination n on n.name = d.destination
   where d.state in ('rejected', 'uncertain', 'exhausted')
   group by d.destination, n.platform, d.state, d.reason, d.error_code;
comment on view conversion_outbox.dead_letter_group is 'Dead letters (rejected, uncertain, exhausted) per destination, reason and the platform''s code. Reads the partial index delivery_dead.';

revoke all on conversion_outbox.dead_letter_group from public;
revoke all on function conversion_outbox.pause_destination, conversion_outbox.resume_destination, conversion_outbox.replay_deliveries,
  conversion_outbox.skip_deliveries, conversion_outbox.event_life from public;
grant execute on function conversion_outbox.pause_destination, conversion_outbox.resume_destination, conversion_outbox.replay_deliveries,
  conversion_outbox.skip_deliveries to conversion_outbox_operator;
grant execute on function conversion_outbox.event_life
  to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator, conversion_outbox_privacy;
grant select on conversion_outbox.dead_letter_group to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
