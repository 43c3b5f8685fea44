-- What an application, an operator and a privacy officer may ask for, in sql.
set local role conversion_outbox_owner;

create function conversion_outbox.permit_words(permit integer) returns text[]
language sql immutable parallel safe
as $$
  -- The bits in the order of the worker's data kinds; the advertising signals above them are left out.
  select array_agg(word order by bit)
    from unnest(array['event', 'click_id', 'email', 'phone', 'name', 'address', 'demographics', 'external_id', 'ip_address', 'user_agent'])
         with ordinality as kinds (word, bit)
   where permit & (1 << (bit - 1)::integer) <> 0
$$;
comment on function conversion_outbox.permit_words is 'The data kinds that a payload was allowed to hold, spelled out.';

-- Every event at every destination: deliveries that exist, and those still to be made from the queue.
create view conversion_outbox.delivery_log as
  select e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at,
         d.destination, n.platform, d.state, d.reason, d.tried_at, d.settled_at, d.response_code, d.error_code,
         d.duration_ms, d.tries, d.attempts, d.due_at, d.payload_hash, d.trace_id,
         conversion_outbox.permit_words(d.permit) as allowed_data
    from conversion_outbox.delivery d
    join conversion_outbox.event e using (event_no)
    left join conversion_outbox.destination n on n.name = d.destination
  union all
  select e.event_no, e.event_id, e.event_name, e.business_id, e.occurred_at, e.recorded_at,
         n.name, n.platform, 'pending', null, null, null, null, null, null, 0::smallint, 0::smallint, e.recorded_at, null, null, null
    from conversion_outbox.queue q
    join conversion_outbox.event e using (event_no)
    cross join conversion_outbox.live_destination n
   where not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name);
comment on view conversion_outbox.delivery_log is 'What was sent, what waits and what did not leave: event, platform, send time, state, response code, payload hash, and which kinds of data the payload was allowed to hold. No personal data.';

create view conversion_outbox.delivery_attempt as
  select a.event_no, a.destination, a.try_no, a.outcome, a.counted, a.tried_at, a.duration_ms, a.response_code, a.error_code,
         a.payload_hash, a.trace_id
    from conversion_outbox.attempt a
  union all
  select d.event_no, d.destination, 1::smallint, d.state, d.attempts > 0, d.tried_at, d.duration_ms, d.response_code, d.error_code,
         d.payload_hash, d.trace_id
    from conversion_outbox.delivery d
   where d.tries = 1 and d.settled_at is not null
     and not exists (select from conversion_outbox.attempt a where a.event_no = d.event_no and a.destination = d.destination);
comment on view conversion_outbox.delivery_attempt is 'Every try of every delivery, those settled at once included.';

create function conversion_outbox.delivery_status(business_id text)
returns table (event_id text, event_name text, destination text, platform text, state text, reason text,
               response_code smallint, tries smallint, tried_at timestamptz, settled_at timestamptz)
language sql stable security definer
set search_path = conversion_outbox, pg_temp
as $$
  select l.event_id, l.event_name, l.destination, l.platform, l.state, l.reason,
         l.response_code, l.tries::smallint, l.tried_at, l.settled_at
    from conversion_outbox.delivery_log l
   where l.business_id = delivery_status.business_id
   order by l.event_no, l.destination
$$;
comment on function conversion_outbox.delivery_status is 'What became of an order''s or lead''s events, per destination.';

create function conversion_outbox.event_deliveries(event_id text) returns jsonb
language sql stable security definer
set search_path = conversion_outbox, pg_temp
as $$
  select coalesce(jsonb_object_agg(l.destination, jsonb_strip_nulls(jsonb_build_object(
           'state', l.state, 'reason', l.reason, 'response_code', l.response_code, 'tries', l.tries,
           'tried_at', l.tried_at, 'settled_at', l.settled_at))), '{}')
    from conversion_outbox.delivery_log l
   where l.event_id = event_deliveries.event_id
$$;
comment on function conversion_outbox.event_deliveries is 'One event''s state per destination, as a json object.';

create function conversion_outbox.time_or_null(written text) returns timestamptz
language plpgsql stable
as $$
begin
  return written::timestamptz;
exception when others then
  return null;
end
$$;
comment on function conversion_outbox.time_or_null is 'The text as a time, or null when it is none: consent.given_at is the application''s own and may be odd.';

-- A withdrawal overrides every consent given before it; a consent that was given later stands. No consent was given later
-- than its event was written, whatever given_at says: a time in the future would make it irrevocable.
-- A set-returning function without side effects, so that the planner writes its two index probes into the claim itself.
create function conversion_outbox.withdrawn_signals(business_id text, external_id text, given_at text, recorded_at timestamptz)
returns table (withdrawn text[])
language sql stable
as $$
  select array_agg(distinct s.signal)
    from (select w.signals, w.withdrawn_at from conversion_outbox.withdrawal w where w.business_id = withdrawn_signals.business_id
          union all
          select w.signals, w.withdrawn_at from conversion_outbox.withdrawal w
           where w.external_id = sha256(convert_to(withdrawn_signals.external_id, 'UTF8'))) taken_back
   cross join unnest(taken_back.signals) as s (signal)
   where taken_back.withdrawn_at >= least(conversion_outbox.time_or_null(given_at), recorded_at)
$$;
comment on function conversion_outbox.withdrawn_signals is 'One row: the consent signals that were taken back for an event''s business id or person since consent was given; null when none were.';

create function conversion_outbox.original_of(original text) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_build_object('business_id', e.business_id, 'states', coalesce((
             select jsonb_object_agg(d.destination, d.state) from conversion_outbox.delivery d where d.event_no = e.event_no), '{}'))
      from conversion_outbox.event e
     where e.event_id = original);
end
$$;
comment on function conversion_outbox.original_of is 'Business id and state per destination of the event that another one adjusts; null when that event is unknown.';

create function conversion_outbox.enqueue(
  inout event_id text default null,
  event_name     text default null,
  business_id    text default null,
  consent        jsonb default null,
  occurred_at    timestamptz default null,
  value          numeric default null,
  currency       text default null,
  user_data      jsonb default null,
  click_ids      jsonb default null,
  properties     jsonb default null,
  action_source  text default null,
  page_url       text default null,
  source         text default null,
  depends_on     text default null,
  traceparent    text default null,
  tracestate     text default null,
  out outcome    text,
  out deliveries jsonb
)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  again conversion_outbox.event;
  standing conversion_outbox.event;
begin
  event_id := coalesce(event_id, conversion_outbox.derive_event_id(event_name, business_id));
  insert into conversion_outbox.event as e (
    event_id, event_name, business_id, occurred_at, value, currency, consent, user_data, click_ids, properties,
    action_source, page_url, source, depends_on, traceparent, tracestate)
  values (
    event_id, event_name, business_id, occurred_at, value, currency, consent, user_data, click_ids, properties,
    action_source, page_url, source, depends_on, traceparent, tracestate)
  on conflict on constraint event_id_is_unique do nothing;
  if found then
    outcome := 'created';
    deliveries := '{}';
    return;
  end if;

  -- The insert trigger has counted the repeat already; here it is only named.
  select * into standing from conversion_outbox.event e where e.event_id = enqueue.event_id;
  again := standing;
  again.event_name := event_name;
  again.business_id := business_id;
  again.value := value;
  again.currency := upper(btrim(currency));
  again.depends_on := nullif(depends_on, event_id);
  again.properties := coalesce(properties, '{}');
  outcome := case when conversion_outbox.content_difference(standing, again) = '{}' then 'duplicate' else 'conflict' end;
  deliveries := conversion_outbox.event_deliveries(event_id);
end
$$;
comment on function conversion_outbox.enqueue is 'Writes one event in the caller''s transaction. Returns event_id, outcome (created, duplicate, conflict) and, for a repeat, the state per destination. Never breaks the transaction because of a repeat.';

create function conversion_outbox.withdraw_consent(
  business_id text default null,
  external_id text default null,
  signals     text[] default array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization']
) returns bigint
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  waiting bigint;
begin
  if num_nonnulls(business_id, external_id) <> 1 then
    raise exception using errcode = 'OB020', message = 'withdraw_consent: name exactly one of business_id and external_id',
      hint = 'Call withdraw_consent(business_id => ...) for one order or lead, or withdraw_consent(external_id => ...) for a person.';
  end if;
  if signals is null or signals = '{}'
     or not signals <@ array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization'] then
    raise exception using errcode = 'OB021', message = 'withdraw_consent: signals must be some of the four Consent Mode signals',
      hint = 'Leave signals out to withdraw all four.';
  end if;
  insert into conversion_outbox.withdrawal (business_id, external_id, signals)
  values (business_id, sha256(convert_to(external_id, 'UTF8')), signals);

  if business_id is null then
    return null;
  end if;
  select count(*) into waiting from conversion_outbox.delivery_log l
   where l.business_id = withdraw_consent.business_id and l.state = 'pending';
  return waiting;
end
$$;
comment on function conversion_outbox.withdraw_consent is 'Records that consent was taken back for one business id, or for a person by external_id. Every attempt from now on honours it. Returns how many deliveries of the business id still waited.';

create function conversion_outbox.erase_subject(
  business_ids text[] default null,
  external_id  text default null
) returns jsonb
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  events bigint[];
  receipt jsonb;
  cancelled bigint;
begin
  if num_nonnulls(business_ids, external_id) <> 1 then
    raise exception using errcode = 'OB022', message = 'erase_subject: name exactly one of business_ids and external_id',
      hint = 'Call erase_subject(business_ids => array[...]) or erase_subject(external_id => ...); the latter reads the whole event table.';
  end if;

  if external_id is not null then
    -- The opt-out outlives the erasure, as a digest.
    insert into conversion_outbox.withdrawal (external_id, signals)
    values (sha256(convert_to(external_id, 'UTF8')), array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization']);
  else
    insert into conversion_outbox.withdrawal (business_id, signals)
    select distinct b, array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization'] from unnest(business_ids) b where b is not null;
  end if;

  with erased as (
    update conversion_outbox.event e
       set user_data = '{}', click_ids = '{}', page_url = null, warnings = null,
           -- Free text may name somebody; what an order consisted of does not.
           properties = jsonb_strip_nulls(jsonb_build_object('items', e.properties -> 'items', 'tax', e.properties -> 'tax',
             'shipping', e.properties -> 'shipping', 'coupon', e.properties -> 'coupon'))
     where (business_ids is not null and e.business_id = any (business_ids))
        or (external_id is not null and e.user_data ->> 'external_id' = external_id)
    returning e.event_no)
  select coalesce(array_agg(event_no), '{}') into events from erased;

  -- What a worker holds right now may be on its way: that worker writes how it went, and every later try is withdrawn.
  with free as (
    select q.event_no from conversion_outbox.queue q
     where q.event_no = any (events) and (q.lease_until is null or q.lease_until < now())
       for update skip locked),
  unqueued as (
    delete from conversion_outbox.queue q using free where q.event_no = free.event_no),
  never_made as (
    insert into conversion_outbox.delivery as d (event_no, destination, state, reason, settled_at)
    select free.event_no, n.name, 'cancelled', 'erased', clock_timestamp()
      from free cross join conversion_outbox.live_destination n
    on conflict (event_no, destination) do nothing
    returning d.destination),
  stopped as (
    update conversion_outbox.delivery d
       set state = 'cancelled', reason = 'erased', settled_at = clock_timestamp(), due_at = null, lease_until = null,
           claim_no = d.claim_no + 1
     where d.event_no = any (events) and d.state = 'pending' and d.intent_at is null
       and (d.lease_until is null or d.lease_until < now())
    returning d.destination),
  ended as (
    select destination from never_made union all select destination from stopped),
  counted as (
    insert into conversion_outbox.delivery_total as t (destination, state, slot, total, retried)
    select destination, 'cancelled', 0, count(*), 0 from ended group by destination
    on conflict (destination, state, slot) do update set total = t.total + excluded.total)
  select count(*) into cancelled from ended;

  select jsonb_build_object(
           'events', cardinality(events),
           'cancelled', cancelled,
           'received_by', coalesce((
             select jsonb_object_agg(r.destination, r.n) from (
               select d.destination, count(*) as n from conversion_outbox.delivery d
                where d.event_no = any (events) and d.tries > 0 group by d.destination) r), '{}'))
    into receipt;
  return receipt;
end
$$;
comment on function conversion_outbox.erase_subject is 'Removes a person''s data from their events, cancels what waits, and returns a receipt: events, cancelled, received_by (destination: deliveries that had left).';

create function conversion_outbox.resume_destination(name text) returns boolean
language sql security definer
set search_path = conversion_outbox, pg_temp
as $$
  update conversion_outbox.destination d
     set hold_reason = null, hold_code = null, hold_advice = null, held_since = null, probe_at = null, hold_credential = null
   where d.name = resume_destination.name and d.hold_reason is not null
  returning true
$$;
comment on function conversion_outbox.resume_destination is 'Lifts a hold by hand. Returns true when there was one, null otherwise.';
