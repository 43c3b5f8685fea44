-- Refunds and cancellations: which events take something back of another, in which order, and what is known of the other.
set local role conversion_outbox_owner;

-- Two refunds of one order may be written at once, and a platform that is told totals must hear them in one order. The
-- number is drawn under a lock that lasts until the commit, so that the reversals before a given one never change any more.
alter table conversion_outbox.event
  add column reversal_no integer,
  add constraint a_reversal_names_its_original check (reversal_no is null or depends_on is not null);
comment on column conversion_outbox.event.reversal_no is 'For an event that takes something back of depends_on (its name ends in _refunded or _cancelled): its place among these, in the order of commits, from 1.';

update conversion_outbox.event e
   set reversal_no = n.number
  from (select event_no, row_number() over (partition by depends_on order by event_no) as number
          from conversion_outbox.event
         where depends_on is not null and event_name ~ '_(refunded|cancell?ed)$') n
 where e.event_no = n.event_no;

create index reversal_of on conversion_outbox.event (depends_on, reversal_no) where reversal_no is not null;

create function conversion_outbox.number_reversal() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
declare
  locks integer;
begin
  -- The same budget of locks as for repeats. Beyond it, and where a transaction sees only what stood at its beginning
  -- (repeatable read), two racing refunds of one order may share a number; what was written first then comes first.
  locks := coalesce(substring(current_setting('conversion_outbox.twin_locks', true) from '^[0-9]{1,4}$'), '0')::integer;
  if locks < 64 then
    perform pg_advisory_xact_lock(hashtextextended(new.depends_on, 4243)),
            set_config('conversion_outbox.twin_locks', (locks + 1)::text, true);
  end if;
  select coalesce(max(e.reversal_no), 0) + 1 into new.reversal_no
    from conversion_outbox.event e
   where e.depends_on = new.depends_on and e.reversal_no is not null;
  return new;
end
$$;
comment on function conversion_outbox.number_reversal is 'Gives a refund or cancellation its place among those of the same original. Waits for another transaction that is writing one right now.';

-- After skip_repeat by its name: a repeat takes no number. Other events do not pass here at all.
create trigger take_reversal_number before insert on conversion_outbox.event
  for each row when (new.depends_on is not null and new.event_name ~ '_(refunded|cancell?ed)$')
  execute function conversion_outbox.number_reversal();

create function conversion_outbox.standings_of(event_no bigint) returns jsonb
language sql stable
as $$
  select coalesce(jsonb_object_agg(d.destination, jsonb_build_object('state', d.state, 'reason', d.reason)), '{}')
    from conversion_outbox.delivery d
   where d.event_no = standings_of.event_no
$$;
comment on function conversion_outbox.standings_of is 'An event''s state and reason at each destination that has a delivery of it.';

-- A set-returning function without side effects, so that the planner writes its one index probe into the claim itself.
create function conversion_outbox.reversals_of(event_id text)
returns table (reversals jsonb)
language sql stable
as $$
  select jsonb_agg(jsonb_build_object(
           'number', r.reversal_no, 'event_no', r.event_no, 'value', r.value::text, 'currency', r.currency,
           'occurred_at', r.occurred_at, 'recorded_at', r.recorded_at,
           'standings', conversion_outbox.standings_of(r.event_no)) order by r.reversal_no, r.event_no)
    from conversion_outbox.event r
   where r.depends_on = reversals_of.event_id and r.reversal_no is not null
$$;
comment on function conversion_outbox.reversals_of is 'One row: what was taken back of an event, in order, each with its state per destination; null when nothing was.';

drop function conversion_outbox.original_of(text);

create function conversion_outbox.original_of(original text, number integer) returns jsonb
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
             e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at) w
     cross join lateral conversion_outbox.reversals_of(e.event_id) r
     where e.event_id = original);
end
$$;
comment on function conversion_outbox.original_of is 'What is known of the event that another one adjusts, for the reversal of this number (null for an event that reverses nothing); null when that event is unknown.';

-- As before, and a person's orders stay opted out when no row tells any more that they are that person's; and it counts
-- in the order in which workers do.
create or replace function conversion_outbox.erase_subject(
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
    returning e.event_no, e.business_id),
  -- Their rows name the person no more, and what follows them (a refund) never did.
  withdrawn as (
    insert into conversion_outbox.withdrawal (business_id, signals)
    select distinct business_id, array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization']
      from erased where external_id is not null)
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
    select destination, 'cancelled', 0, count(*), 0 from ended group by destination order by destination
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

revoke all on function conversion_outbox.number_reversal, conversion_outbox.standings_of, conversion_outbox.reversals_of, conversion_outbox.original_of
  from public;
grant execute on function conversion_outbox.standings_of, conversion_outbox.reversals_of, conversion_outbox.original_of
  to conversion_outbox_worker;
