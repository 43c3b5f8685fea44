-- Platforms that say later what became of a request, conversion actions and rules that are held by themselves, and
-- deliveries that must not wait much longer.
set local role conversion_outbox_owner;

alter table conversion_outbox.delivery
  add column receipt    text,
  add column company    smallint,
  add column expires_at timestamptz,
  add constraint company_is_at_least_one check (company >= 1);
comment on column conversion_outbox.delivery.receipt is 'The platform''s number for the request that carried it, where the platform says later what became of it.';
comment on column conversion_outbox.delivery.company is 'How many events its next request may carry: set when some event of its last one failed and the platform did not say which.';
comment on column conversion_outbox.delivery.expires_at is 'When the platform (or the configuration) does not take it any more; such deliveries go first as the time comes near.';

create index delivery_expiring on conversion_outbox.delivery (destination, expires_at)
  where state = 'pending' and expires_at is not null;
create index delivery_unconfirmed on conversion_outbox.delivery (destination, receipt)
  where state = 'sent' and receipt is not null;

alter table conversion_outbox.attempt
  drop constraint outcome_is_known,
  add constraint outcome_is_known check (outcome in (
    'accepted', 'sent', 'retry', 'too_early', 'rate_limited', 'hold', 'rejected', 'batch_rejected', 'ambiguous'));

comment on table conversion_outbox.delivery_total is 'Deliveries in each final state, per destination and slot: sum over slots. A slot may be negative, when another one counted the delivery in.';

create table conversion_outbox.request (
  destination text collate "C" not null,
  receipt     text collate "C" not null,
  rule        text,
  sent_at     timestamptz not null,
  claim_no    integer     not null default 0,
  asked       smallint    not null default 0,
  due_at      timestamptz,
  lease_until timestamptz,
  status      text,
  reasons     jsonb       not null default '{}',
  settled_at  timestamptz,

  primary key (destination, receipt),
  constraint open_requests_are_due check ((settled_at is null) = (due_at is not null)),
  constraint only_open_requests_are_leased check (settled_at is null or lease_until is null)
);
create index request_due on conversion_outbox.request (destination, due_at) where settled_at is null;
comment on table conversion_outbox.request is 'Requests to platforms that say later what became of them: asked for until the answer is final.';
comment on column conversion_outbox.request.receipt is 'The platform''s own number for the request.';
comment on column conversion_outbox.request.rule is 'The conversion action that all its events are for.';
comment on column conversion_outbox.request.claim_no is 'Grows with every claim; the fence against a worker that lost its lease.';
comment on column conversion_outbox.request.asked is 'How often the platform was asked.';
comment on column conversion_outbox.request.due_at is 'When to ask (again); null once the answer is final.';
comment on column conversion_outbox.request.lease_until is 'One worker asks until then; null when nobody does.';
comment on column conversion_outbox.request.status is 'The platform''s last word for the state of the request.';
comment on column conversion_outbox.request.reasons is 'The platform''s reasons, each with the number of events it concerns: {"PROCESSING_ERROR_REASON_...": 2}. It does not say which events.';

create or replace function conversion_outbox.standings_of(event_no bigint) returns jsonb
language sql stable
as $$
  select coalesce(jsonb_object_agg(d.destination, jsonb_build_object('state', d.state, 'reason', d.reason, 'rule', r.rule)), '{}')
    from conversion_outbox.delivery d
    left join conversion_outbox.request r on r.destination = d.destination and r.receipt = d.receipt
   where d.event_no = standings_of.event_no
$$;
comment on function conversion_outbox.standings_of is 'An event''s state and reason at each destination that has a delivery of it, and the conversion action that it was sent for, where the platform says later what became of it.';

create table conversion_outbox.rule_hold (
  destination text collate "C" not null references conversion_outbox.destination (name) on delete cascade,
  rule        text collate "C" not null,
  reason      text        not null,
  code        text,
  advice      text        not null,
  held_since  timestamptz not null default now(),
  probe_at    timestamptz not null,

  primary key (destination, rule)
);
comment on table conversion_outbox.rule_hold is 'Conversion actions and rules that are held by themselves, while the rest of their destination works.';
comment on column conversion_outbox.rule_hold.code is 'The platform''s own error code.';
comment on column conversion_outbox.rule_hold.probe_at is 'When one request may try again, in case the platform''s side was mended.';

drop function conversion_outbox.resume_destination(text);

create function conversion_outbox.resume_destination(name text, rule text default null) returns boolean
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  lifted bigint;
  was_held boolean;
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
  return case when lifted > 0 or was_held then true end;
end
$$;
comment on function conversion_outbox.resume_destination is 'Lifts the hold of a destination and of all its rules, or of one rule alone. Returns true when there was one, null otherwise.';

-- The same record with what a platform said later.
create or replace view conversion_outbox.delivery_log as
  select e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at,
         d.destination, n.platform, d.state, d.reason, d.tried_at, d.settled_at, d.response_code, d.error_code,
         d.duration_ms, d.tries, d.attempts, d.due_at, d.payload_hash, d.trace_id,
         conversion_outbox.permit_words(d.permit) as allowed_data, d.receipt, d.expires_at
    from conversion_outbox.delivery d
    join conversion_outbox.event e using (event_no)
    left join conversion_outbox.destination n on n.name = d.destination
  union all
  select e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at,
         n.name, n.platform, 'pending', null, null, null, null, null, null, 0::smallint, 0::smallint, e.recorded_at, null, null, null,
         null, null
    from conversion_outbox.queue q
    join conversion_outbox.event e using (event_no)
    cross join conversion_outbox.live_destination n
   where not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name);

-- The same backlog with what must not wait much longer.
create or replace view conversion_outbox.destination_backlog as
  select n.name as destination, n.platform, n.enabled,
         n.hold_reason, n.hold_code, n.hold_advice, n.held_since, n.probe_at,
         coalesce(w.waiting, 0) + coalesce(f.fresh, 0) as pending,
         coalesce(w.retrying, 0) as retrying,
         coalesce(w.due, 0) + coalesce(f.fresh, 0) as due,
         least(w.oldest_due, f.oldest) as oldest_due_at,
         least(w.oldest, f.oldest) as oldest_recorded_at,
         coalesce(w.expiring, 0) as expiring
    from conversion_outbox.destination n
    left join lateral (
      select count(*) as waiting,
             count(*) filter (where d.tries > 0) as retrying,
             count(*) filter (where d.due_at <= now()) as due,
             min(d.due_at) filter (where d.due_at <= now()) as oldest_due,
             min(e.recorded_at) as oldest,
             count(*) filter (where d.expires_at < now() + interval '24 hours') as expiring
        from conversion_outbox.delivery d join conversion_outbox.event e using (event_no)
       where d.destination = n.name and d.state = 'pending') w on true
    left join lateral (
      select count(*) as fresh, min(e.recorded_at) as oldest
        from conversion_outbox.queue q join conversion_outbox.event e using (event_no)
       where n.name in (select l.name from conversion_outbox.live_destination l)
         and not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name)) f on true;

create view conversion_outbox.request_log as
  select r.destination, n.platform, r.receipt, r.rule, r.sent_at, r.asked, r.due_at, r.status, r.reasons, r.settled_at
    from conversion_outbox.request r
    left join conversion_outbox.destination n on n.name = r.destination;
comment on view conversion_outbox.request_log is 'What platforms said later of whole requests: state, and reasons with the number of events each concerns.';

revoke all on conversion_outbox.request, conversion_outbox.rule_hold, conversion_outbox.request_log from public;
revoke all on function conversion_outbox.resume_destination from public;
grant execute on function conversion_outbox.resume_destination to conversion_outbox_operator;
grant select, insert, update on conversion_outbox.request to conversion_outbox_worker;
grant select, insert, update, delete on conversion_outbox.rule_hold to conversion_outbox_worker;
grant select on conversion_outbox.request, conversion_outbox.rule_hold to conversion_outbox_reader, conversion_outbox_operator;
grant select on conversion_outbox.request_log to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
