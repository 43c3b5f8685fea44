-- Tallies: how many events and deliveries of a day are in which state, so that nobody counts a large table to draw a page or
-- to answer a scrape. They are kept by triggers on the tables themselves: whatever changes a delivery, a worker or a person's
-- function, changes its tally in the same transaction. A transaction adds rows to the *_news tables and never updates a
-- shared one, so no two wait for one another; workers fold the news into the sums. The views add both up: exact at every moment.
set local role conversion_outbox_owner;

create table conversion_outbox.event_tally (
  day                 date   not null,
  event_name          text not null,
  events              bigint not null,
  click_id            bigint not null,
  email               bigint not null,
  phone               bigint not null,
  external_id         bigint not null,
  consent_granted     bigint not null,
  consent_denied      bigint not null,
  consent_unspecified bigint not null,
  queued              bigint not null,
  primary key (day, event_name)
) with (fillfactor = 70);
comment on table conversion_outbox.event_tally is 'Events that left the queue or were counted in it, by the day (UTC) on which they occurred and by name, and how many of them carried what (view event_day).';
comment on column conversion_outbox.event_tally.queued is 'How many of them are still in the queue (column counted).';
create table conversion_outbox.event_tally_news (like conversion_outbox.event_tally);
comment on table conversion_outbox.event_tally_news is 'What is to be added to event_tally.';

create table conversion_outbox.delivery_tally (
  day         date   not null,
  destination text collate "C" not null,
  event_name  text not null,
  state       text not null,
  -- Empty where there is none: part of a key. A code is told of dead letters only: what a person sees together.
  reason      text not null,
  error_code  text not null,
  deliveries  bigint not null,
  retried     bigint not null,
  in_time     bigint not null,
  primary key (day, destination, event_name, state, reason, error_code)
) with (fillfactor = 70);
create index delivery_tally_dead on conversion_outbox.delivery_tally (destination, state, reason, error_code)
  where state in ('rejected', 'uncertain', 'exhausted');
comment on table conversion_outbox.delivery_tally is 'Deliveries by the day (UTC) on which their event occurred, as they stand now (view delivery_day).';
create table conversion_outbox.delivery_tally_news (like conversion_outbox.delivery_tally);
comment on table conversion_outbox.delivery_tally_news is 'What is to be added to delivery_tally.';

create table conversion_outbox.answer_tally (
  hour          timestamptz not null,
  destination   text collate "C" not null,
  outcome       text not null,
  -- Nought and empty where there is none: parts of a key.
  response_code smallint not null,
  error_code    text not null,
  answers       bigint not null,
  duration_ms   bigint not null,
  primary key (hour, destination, outcome, response_code, error_code)
) with (fillfactor = 70);
comment on table conversion_outbox.answer_tally is 'Tries of deliveries by the hour, and how they ended (view answer_hour).';
create table conversion_outbox.answer_tally_news (like conversion_outbox.answer_tally);
comment on table conversion_outbox.answer_tally_news is 'What is to be added to answer_tally.';

-- Where the fold stands in the queue. Only a hint of where to look on: what was counted stands in the rows of the queue.
create table conversion_outbox.queue_look (
  looked_to bigint not null,
  newest    bigint not null
);
insert into conversion_outbox.queue_look (looked_to, newest) values (0, 0);
comment on table conversion_outbox.queue_look is 'Events of the queue up to looked_to were looked at by a fold; newest was its last one at the look before.';

-- They have no key, and a publication of all tables (logical replication, change data capture) must not stop the fold.
alter table conversion_outbox.event_tally_news replica identity full;
alter table conversion_outbox.delivery_tally_news replica identity full;
alter table conversion_outbox.answer_tally_news replica identity full;
alter table conversion_outbox.queue_look replica identity full;

-- Written and deleted all day, and never large.
alter table conversion_outbox.event_tally_news set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
alter table conversion_outbox.delivery_tally_news set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
alter table conversion_outbox.answer_tally_news set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create function conversion_outbox.day_of(moment timestamptz) returns date
language sql immutable parallel safe
as $$ select (moment at time zone 'UTC')::date $$;
comment on function conversion_outbox.day_of is 'The day of a time, in UTC.';

create function conversion_outbox.event_signals(user_data jsonb, click_ids jsonb, consent jsonb)
returns table (click_id boolean, email boolean, phone boolean, external_id boolean, choice text)
language sql immutable parallel safe
as $$
  -- The worker's metrics go by the same rules: a text that is not blank, or a number. A browser's own ids tell no click.
  -- Nothing here may fail, whatever a row holds.
  select coalesce(case when jsonb_typeof(click_ids) = 'object' then
           (click_ids - '{fbp,ttp,ga_client_id,ga_session_id}'::text[]) @? 'strict $.* ? (@.type() == "number" || @ like_regex "\\S")' end, false),
         coalesce(user_data @? 'strict $.email ? (@.type() == "number" || @ like_regex "\\S")', false)
           or coalesce(user_data @? 'strict $.email[*] ? (@.type() == "number" || @ like_regex "\\S")', false),
         coalesce(user_data @? 'strict $.phone ? (@.type() == "number" || @ like_regex "\\S")', false)
           or coalesce(user_data @? 'strict $.phone[*] ? (@.type() == "number" || @ like_regex "\\S")', false),
         coalesce(user_data @? 'strict $.external_id ? (@.type() == "number" || @ like_regex "\\S")', false),
         -- A legal decision stands in for signals that were not asked for.
         case when consent ->> 'ad_user_data' in ('granted', 'denied') then consent ->> 'ad_user_data' else 'unspecified' end
$$;
comment on function conversion_outbox.event_signals is 'What an event carries that platforms can match, and the consent to it (ad_user_data): whether, never what.';

create function conversion_outbox.code_of_dead(state text, error_code text) returns text
language sql immutable parallel safe
as $$ select case when state in ('rejected', 'uncertain', 'exhausted') then coalesce(error_code, '') else '' end $$;
comment on function conversion_outbox.code_of_dead is 'The code by which dead letters are told apart; empty for everything else.';

create function conversion_outbox.answer_of(state text, receipt text, response_code smallint) returns text
language sql immutable parallel safe
as $$
  -- A platform that speaks later has only taken the request by then.
  select case when state in ('accepted', 'sent') and receipt is null then state
              when receipt is not null then 'sent'
              when state = 'rejected' then 'rejected'
              when state = 'uncertain' or response_code is null then 'ambiguous'
              else 'retry' end
$$;
comment on function conversion_outbox.answer_of is 'How the only try of a delivery ended, as its row tells it.';

-- Whoever commits an event waits while this waits for a lock: so it waits a moment only, lets everybody pass, and tries again.
-- Shorter than deadlock_timeout: nobody else is ever the one that gives way.
do $$
begin
  for n in 1..60 loop
    begin
      set local lock_timeout = '250ms';
      lock table conversion_outbox.repeat in share row exclusive mode;
      lock table conversion_outbox.queue in access exclusive mode;
      lock table conversion_outbox.delivery, conversion_outbox.attempt in share row exclusive mode;
      exit;
    exception when lock_not_available then
      if n = 60 then
        raise;
      end if;
      perform pg_sleep(0.25);
    end;
  end loop;
end
$$;
-- From here on all is quick.
alter table conversion_outbox.queue add column counted boolean not null default false;
comment on column conversion_outbox.queue.counted is 'Waits for so long that event_tally has it already, so that a long queue is not read for a page.';

create view conversion_outbox.counted_event as
  select conversion_outbox.day_of(e.occurred_at) as day, e.event_name, count(*) as events,
         count(*) filter (where s.click_id) as click_id, count(*) filter (where s.email) as email,
         count(*) filter (where s.phone) as phone, count(*) filter (where s.external_id) as external_id,
         count(*) filter (where s.choice = 'granted') as consent_granted,
         count(*) filter (where s.choice = 'denied') as consent_denied,
         count(*) filter (where s.choice = 'unspecified') as consent_unspecified, count(q.event_no) as queued
    from conversion_outbox.event e
    left join conversion_outbox.queue q using (event_no)
   cross join lateral conversion_outbox.event_signals(e.user_data, e.click_ids, e.consent) s
   where q.counted is not false
   group by 1, 2;
comment on view conversion_outbox.counted_event is 'What event_tally has to say, counted from the rows: a scan.';

create view conversion_outbox.counted_delivery as
  select conversion_outbox.day_of(e.occurred_at) as day, d.destination, e.event_name, d.state, coalesce(d.reason, '') as reason,
         conversion_outbox.code_of_dead(d.state, d.error_code) as error_code, count(*) as deliveries, count(*) filter (where d.tries > 1) as retried,
         count(*) filter (where d.state in ('accepted', 'sent') and d.tried_at <= e.recorded_at + interval '15 minutes') as in_time
    from conversion_outbox.delivery d join conversion_outbox.event e using (event_no)
   group by 1, 2, 3, 4, 5, 6;
comment on view conversion_outbox.counted_delivery is 'What delivery_tally has to say, counted from the rows: a scan.';

create view conversion_outbox.counted_answer as
  select date_trunc('hour', a.tried_at, 'UTC') as hour, a.destination, a.outcome, coalesce(a.response_code, 0::smallint) as response_code,
         -- What was said later is not the answer.
         case a.outcome when 'sent' then '' else coalesce(a.error_code, '') end as error_code, count(*) as answers, coalesce(sum(a.duration_ms), 0)::bigint as duration_ms
    from (
      select destination, outcome, tried_at, response_code, error_code, duration_ms from conversion_outbox.attempt
      union all
      select d.destination, conversion_outbox.answer_of(d.state, d.receipt, d.response_code), d.tried_at, d.response_code, d.error_code, d.duration_ms
        from conversion_outbox.delivery d
       where d.tries = 1 and d.settled_at is not null
         and not exists (select from conversion_outbox.attempt a where a.event_no = d.event_no and a.destination = d.destination)) a
   group by 1, 2, 3, 4, 5;
comment on view conversion_outbox.counted_answer is 'What answer_tally has to say, counted from the rows: a scan.';

create view conversion_outbox.event_day as
  select day, event_name, sum(events)::bigint as events, sum(click_id)::bigint as click_id, sum(email)::bigint as email,
         sum(phone)::bigint as phone, sum(external_id)::bigint as external_id, sum(consent_granted)::bigint as consent_granted,
         sum(consent_denied)::bigint as consent_denied, sum(consent_unspecified)::bigint as consent_unspecified
    from (
      select * from conversion_outbox.event_tally
      union all
      select * from conversion_outbox.event_tally_news
      union all
      -- Nobody has finished these yet, nor counted them. One probe a row, however many there are.
      select conversion_outbox.day_of(e.occurred_at), e.event_name, 1, s.click_id::integer, s.email::integer, s.phone::integer,
             s.external_id::integer, (s.choice = 'granted')::integer, (s.choice = 'denied')::integer, (s.choice = 'unspecified')::integer, 0
        from conversion_outbox.queue q
       cross join lateral (select * from conversion_outbox.event w where w.event_no = q.event_no offset 0) e
       cross join lateral conversion_outbox.event_signals(e.user_data, e.click_ids, e.consent) s
       where not q.counted) t
   group by day, event_name;
comment on view conversion_outbox.event_day is 'Events committed, by the day (UTC) on which they occurred and by name, and how many carried a click id, an e-mail address, a phone number, an external id, and consent (ad_user_data).';

-- Whoever adds up further takes these: adding up twice costs twice.
create view conversion_outbox.delivery_part as
  select * from conversion_outbox.delivery_tally union all select * from conversion_outbox.delivery_tally_news;
comment on view conversion_outbox.delivery_part is 'Parts of the sums of delivery_day, several for each key and some of them negative; reason is empty where there is none.';
create view conversion_outbox.answer_part as
  select * from conversion_outbox.answer_tally union all select * from conversion_outbox.answer_tally_news;
comment on view conversion_outbox.answer_part is 'Parts of the sums of answer_hour, several for each key; response_code and error_code are nought and empty where there is none.';

create view conversion_outbox.delivery_day as
  select day, event_name, destination, state, nullif(reason, '') as reason, sum(deliveries)::bigint as deliveries,
         sum(retried)::bigint as retried, sum(in_time)::bigint as in_time
    from conversion_outbox.delivery_part
   group by day, event_name, destination, state, reason
  having sum(deliveries) <> 0;
comment on view conversion_outbox.delivery_day is 'Deliveries as they stand now, by the day (UTC) on which their event occurred. in_time: the request that was taken left within 15 minutes after the event was recorded.';

create view conversion_outbox.answer_hour as
  select hour, destination, outcome, nullif(response_code, 0) as response_code, nullif(error_code, '') as error_code,
         sum(answers)::bigint as answers, sum(duration_ms)::bigint as duration_ms
    from conversion_outbox.answer_part
   group by hour, destination, outcome, response_code, error_code
  having sum(answers) <> 0;
comment on view conversion_outbox.answer_hour is 'Tries of deliveries by the hour (UTC) in which they were made, with the sum of their durations.';

-- The planner sees a transition table for the first time when it is small, and keeps the plan while tables grow: so an index
-- of the large table is used whatever it thinks, one probe a row.
create function conversion_outbox.tally_finished_events() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
set enable_seqscan = off
as $$
begin
  -- What was counted in the queue is only not queued any more.
  insert into conversion_outbox.event_tally_news
    (day, event_name, events, click_id, email, phone, external_id, consent_granted, consent_denied, consent_unspecified, queued)
  select conversion_outbox.day_of(e.occurred_at), e.event_name, count(*) filter (where not f.counted),
         count(*) filter (where s.click_id), count(*) filter (where s.email), count(*) filter (where s.phone),
         count(*) filter (where s.external_id), count(*) filter (where s.choice = 'granted'),
         count(*) filter (where s.choice = 'denied'), count(*) filter (where s.choice = 'unspecified'), - count(*) filter (where f.counted)
    from finished f
   cross join lateral (select * from conversion_outbox.event w where w.event_no = f.event_no offset 0) e
    left join lateral conversion_outbox.event_signals(e.user_data, e.click_ids, e.consent) s on not f.counted
   group by 1, 2;
  return null;
end
$$;
comment on function conversion_outbox.tally_finished_events is 'Counts events as they leave the queue.';

create function conversion_outbox.tally_new_deliveries() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
set enable_seqscan = off
as $$
begin
  insert into conversion_outbox.delivery_tally_news (day, destination, event_name, state, reason, error_code, deliveries, retried, in_time)
  select conversion_outbox.day_of(e.occurred_at), d.destination, e.event_name, d.state, coalesce(d.reason, ''),
         conversion_outbox.code_of_dead(d.state, d.error_code), count(*),
         count(*) filter (where d.tries > 1),
         count(*) filter (where d.state in ('accepted', 'sent') and d.tried_at <= e.recorded_at + interval '15 minutes')
    from added d
   cross join lateral (select w.occurred_at, w.recorded_at, w.event_name from conversion_outbox.event w where w.event_no = d.event_no offset 0) e
   group by 1, 2, 3, 4, 5, 6;
  insert into conversion_outbox.answer_tally_news (hour, destination, outcome, response_code, error_code, answers, duration_ms)
  select date_trunc('hour', d.tried_at, 'UTC'), d.destination, conversion_outbox.answer_of(d.state, d.receipt, d.response_code),
         coalesce(d.response_code, 0::smallint), case when d.receipt is null and d.state <> 'sent' then coalesce(d.error_code, '') else '' end, count(*), coalesce(sum(d.duration_ms), 0)
    from added d
   where d.tries = 1 and d.settled_at is not null
     and not exists (select from conversion_outbox.attempt a where a.event_no = d.event_no and a.destination = d.destination)
   group by 1, 2, 3, 4, 5;
  return null;
end
$$;
comment on function conversion_outbox.tally_new_deliveries is 'Counts deliveries as they come, and the answers that they record themselves.';

create function conversion_outbox.tally_changed_deliveries() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
set enable_seqscan = off
as $$
begin
  insert into conversion_outbox.delivery_tally_news (day, destination, event_name, state, reason, error_code, deliveries, retried, in_time)
  select conversion_outbox.day_of(e.occurred_at), c.destination, e.event_name, v.state, v.reason, v.error_code, sum(v.sign),
         coalesce(sum(v.sign) filter (where v.tries > 1), 0),
         coalesce(sum(v.sign) filter (where v.state in ('accepted', 'sent') and v.tried_at <= e.recorded_at + interval '15 minutes'), 0)
    from (
      -- A claim changes nothing that is counted.
      select o.event_no, o.destination, o.state as old_state, coalesce(o.reason, '') as old_reason, o.tries as old_tries, o.tried_at as old_tried_at,
             conversion_outbox.code_of_dead(o.state, o.error_code) as old_error_code,
             n.state, coalesce(n.reason, '') as reason, n.tries, n.tried_at, conversion_outbox.code_of_dead(n.state, n.error_code) as error_code
        from was o join became n using (event_no, destination)
       where (o.state, o.reason, o.tries > 1, o.tried_at, o.error_code) is distinct from (n.state, n.reason, n.tries > 1, n.tried_at, n.error_code)) c
   cross join lateral (select w.occurred_at, w.recorded_at, w.event_name from conversion_outbox.event w where w.event_no = c.event_no offset 0) e
   cross join lateral (values (-1, c.old_state, c.old_reason, c.old_error_code, c.old_tries, c.old_tried_at),
                             (1, c.state, c.reason, c.error_code, c.tries, c.tried_at)) as v (sign, state, reason, error_code, tries, tried_at)
   group by 1, 2, 3, 4, 5, 6
  having sum(v.sign) <> 0 or sum(v.sign) filter (where v.tries > 1) <> 0
      or sum(v.sign) filter (where v.state in ('accepted', 'sent') and v.tried_at <= e.recorded_at + interval '15 minutes') <> 0;
  -- An intent that became an outcome is the record of its try.
  insert into conversion_outbox.answer_tally_news (hour, destination, outcome, response_code, error_code, answers, duration_ms)
  select date_trunc('hour', n.tried_at, 'UTC'), n.destination, conversion_outbox.answer_of(n.state, n.receipt, n.response_code),
         coalesce(n.response_code, 0::smallint), case when n.receipt is null and n.state <> 'sent' then coalesce(n.error_code, '') else '' end, count(*), coalesce(sum(n.duration_ms), 0)
    from became n join was o using (event_no, destination)
   where n.tries = 1 and n.settled_at is not null and o.settled_at is null
     and not exists (select from conversion_outbox.attempt a where a.event_no = n.event_no and a.destination = n.destination)
   group by 1, 2, 3, 4, 5;
  return null;
end
$$;
comment on function conversion_outbox.tally_changed_deliveries is 'Counts deliveries over from the state they had to the state they have.';

create function conversion_outbox.tally_attempts() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
set enable_seqscan = off
as $$
begin
  insert into conversion_outbox.answer_tally_news (hour, destination, outcome, response_code, error_code, answers, duration_ms)
  select date_trunc('hour', a.tried_at, 'UTC'), a.destination, a.outcome, coalesce(a.response_code, 0::smallint),
         case a.outcome when 'sent' then '' else coalesce(a.error_code, '') end, count(*), coalesce(sum(a.duration_ms), 0)
    from made a
   cross join lateral (
     select d.state, d.reason from conversion_outbox.delivery d where d.event_no = a.event_no and d.destination = a.destination offset 0) d
   -- Where a delivery was its own record of this try until now, the try was counted when it was made: it goes again because a
   -- person or the platform said so later, or was cancelled by a person.
   where not (a.try_no = 1 and (coalesce(d.reason, '') in ('replayed', 'by_operator') or (d.state = 'pending' and a.outcome = 'sent')))
   group by 1, 2, 3, 4, 5;
  return null;
end
$$;
comment on function conversion_outbox.tally_attempts is 'Counts tries as they are recorded.';

create trigger tally_finished_events after delete on conversion_outbox.queue
  referencing old table as finished
  for each statement execute function conversion_outbox.tally_finished_events();
create trigger tally_new_deliveries after insert on conversion_outbox.delivery
  referencing new table as added
  for each statement execute function conversion_outbox.tally_new_deliveries();
create trigger tally_changed_deliveries after update on conversion_outbox.delivery
  referencing old table as was new table as became
  for each statement execute function conversion_outbox.tally_changed_deliveries();
create trigger tally_attempts after insert on conversion_outbox.attempt
  referencing new table as made
  for each statement execute function conversion_outbox.tally_attempts();

create function conversion_outbox.fold_tallies(batch integer) returns bigint
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  folded bigint;
  total  bigint := 0;
  look   conversion_outbox.queue_look;
  last   bigint;
begin
  if batch is null or batch not between 1 and 100000 then
    raise exception using errcode = 'OB024', message = 'fold_tallies: batch must be 1 to 100000', hint = 'Leave this call to the worker.';
  end if;
  -- One at a time; until the end of this transaction, so that it holds behind a pooler too.
  if not pg_try_advisory_xact_lock(hashtextextended('conversion_outbox.tallies', 4244)) then
    return 0;
  end if;
  -- What was in the queue at the last look already and is still there waits: it is counted now, once. A row that somebody has in
  -- hand, or that was committed late, is passed over and stays uncounted: views look at such rows themselves.
  select * into strict look from conversion_outbox.queue_look;
  if look.looked_to < look.newest then
    with waiting as materialized (
      select q.ctid, q.event_no from conversion_outbox.queue q
       where q.event_no > look.looked_to and q.event_no <= look.newest and not q.counted and (q.lease_until is null or q.set_aside)
       order by q.event_no limit batch
         for update skip locked),
    marked as (
      update conversion_outbox.queue q set counted = true where q.ctid = any (array(select w.ctid from waiting w)) returning q.event_no),
    told as (
      insert into conversion_outbox.event_tally_news
        (day, event_name, events, click_id, email, phone, external_id, consent_granted, consent_denied, consent_unspecified, queued)
      select conversion_outbox.day_of(e.occurred_at), e.event_name, count(*),
             count(*) filter (where s.click_id), count(*) filter (where s.email), count(*) filter (where s.phone),
             count(*) filter (where s.external_id), count(*) filter (where s.choice = 'granted'),
             count(*) filter (where s.choice = 'denied'), count(*) filter (where s.choice = 'unspecified'), count(*)
        from marked m
       cross join lateral (select * from conversion_outbox.event w where w.event_no = m.event_no offset 0) e
       cross join lateral conversion_outbox.event_signals(e.user_data, e.click_ids, e.consent) s
       group by 1, 2)
    select count(*), max(w.event_no) into folded, last from waiting w;
    update conversion_outbox.queue_look set looked_to = case when folded = batch then last else look.newest end;
    total := total + folded;
  end if;
  if coalesce(folded, 0) < batch then
    update conversion_outbox.queue_look l set newest = q.newest
      from (select max(q.event_no) as newest from conversion_outbox.queue q) q where q.newest > l.newest;
  end if;
  with taken as (
    delete from conversion_outbox.event_tally_news
     where ctid = any (array(select n.ctid from conversion_outbox.event_tally_news n limit batch))
    returning *),
  folding as (
    insert into conversion_outbox.event_tally as t
    select day, event_name, sum(events), sum(click_id), sum(email), sum(phone), sum(external_id), sum(consent_granted),
           sum(consent_denied), sum(consent_unspecified), sum(queued)
      from taken group by day, event_name
    on conflict (day, event_name) do update
      set events = t.events + excluded.events, click_id = t.click_id + excluded.click_id, email = t.email + excluded.email,
          phone = t.phone + excluded.phone, external_id = t.external_id + excluded.external_id,
          consent_granted = t.consent_granted + excluded.consent_granted, consent_denied = t.consent_denied + excluded.consent_denied,
          consent_unspecified = t.consent_unspecified + excluded.consent_unspecified, queued = t.queued + excluded.queued)
  select count(*) into folded from taken;
  total := total + folded;
  with taken as (
    delete from conversion_outbox.delivery_tally_news
     where ctid = any (array(select n.ctid from conversion_outbox.delivery_tally_news n limit batch))
    returning *),
  folding as (
    insert into conversion_outbox.delivery_tally as t
    select day, destination, event_name, state, reason, error_code, sum(deliveries), sum(retried), sum(in_time)
      from taken group by day, destination, event_name, state, reason, error_code
    on conflict (day, destination, event_name, state, reason, error_code) do update
      set deliveries = t.deliveries + excluded.deliveries, retried = t.retried + excluded.retried, in_time = t.in_time + excluded.in_time)
  select count(*) into folded from taken;
  total := total + folded;
  with taken as (
    delete from conversion_outbox.answer_tally_news
     where ctid = any (array(select n.ctid from conversion_outbox.answer_tally_news n limit batch))
    returning *),
  folding as (
    insert into conversion_outbox.answer_tally as t
    select hour, destination, outcome, response_code, error_code, sum(answers), sum(duration_ms)
      from taken group by hour, destination, outcome, response_code, error_code
    on conflict (hour, destination, outcome, response_code, error_code) do update
      set answers = t.answers + excluded.answers, duration_ms = t.duration_ms + excluded.duration_ms)
  select count(*) into folded from taken;
  return total + folded;
end
$$;
comment on function conversion_outbox.fold_tallies is 'Adds up to batch rows of each kind of news to the sums; returns how many rows that were, 0 also while somebody else does it.';

create function conversion_outbox.recount_tallies() returns bigint
language plpgsql
as $$
declare
  corrected bigint;
  total     bigint := 0;
begin
  -- Two at once would both mend the same.
  perform pg_advisory_xact_lock(hashtextextended('conversion_outbox.recount', 4244));
  -- What the rows say less what the tallies say, in one snapshot each: right while others go on working, without a lock.
  insert into conversion_outbox.event_tally_news
  select day, event_name, sum(events), sum(click_id), sum(email), sum(phone), sum(external_id), sum(consent_granted), sum(consent_denied),
         sum(consent_unspecified), sum(queued)
    from (
      select * from conversion_outbox.counted_event
      union all
      select day, event_name, -events, -click_id, -email, -phone, -external_id, -consent_granted, -consent_denied, -consent_unspecified, -queued
        from (select * from conversion_outbox.event_tally union all select * from conversion_outbox.event_tally_news) t) d
   group by day, event_name
  having (sum(events), sum(click_id), sum(email), sum(phone), sum(external_id), sum(consent_granted), sum(consent_denied), sum(consent_unspecified), sum(queued))
      is distinct from (0, 0, 0, 0, 0, 0, 0, 0, 0);
  get diagnostics corrected = row_count;
  total := total + corrected;
  insert into conversion_outbox.delivery_tally_news
  select day, destination, event_name, state, reason, error_code, sum(deliveries), sum(retried), sum(in_time)
    from (
      select day, destination, event_name, state, reason, error_code, deliveries, retried, in_time from conversion_outbox.counted_delivery
      union all
      select day, destination, event_name, state, reason, error_code, -deliveries, -retried, -in_time from conversion_outbox.delivery_part) d
   group by day, destination, event_name, state, reason, error_code
  having (sum(deliveries), sum(retried), sum(in_time)) is distinct from (0, 0, 0);
  get diagnostics corrected = row_count;
  total := total + corrected;
  insert into conversion_outbox.answer_tally_news
  select hour, destination, outcome, response_code, error_code, sum(answers), sum(duration_ms)
    from (
      select * from conversion_outbox.counted_answer
      union all
      select hour, destination, outcome, response_code, error_code, -answers, -duration_ms
        from (select * from conversion_outbox.answer_tally union all select * from conversion_outbox.answer_tally_news) t) d
   group by hour, destination, outcome, response_code, error_code
  having (sum(answers), sum(duration_ms)) is distinct from (0, 0);
  get diagnostics corrected = row_count;
  return total + corrected;
end
$$;
comment on function conversion_outbox.recount_tallies is 'Counts everything from the rows and mends the tallies where they differ; returns how many sums were mended. Reads whole tables. What personal data an event carried is not known after their removal: such events count as without from then on.';

revoke all on function conversion_outbox.day_of, conversion_outbox.event_signals, conversion_outbox.answer_of, conversion_outbox.code_of_dead, conversion_outbox.tally_finished_events,
  conversion_outbox.tally_new_deliveries, conversion_outbox.tally_changed_deliveries, conversion_outbox.tally_attempts,
  conversion_outbox.fold_tallies, conversion_outbox.recount_tallies from public;
-- Views call them with the rights of whoever reads them.
grant execute on function conversion_outbox.day_of, conversion_outbox.event_signals
  to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
grant execute on function conversion_outbox.fold_tallies to conversion_outbox_worker;
grant select on conversion_outbox.event_day, conversion_outbox.delivery_day, conversion_outbox.answer_hour, conversion_outbox.delivery_part,
  conversion_outbox.answer_part
  to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;

create view conversion_outbox.queued_day as
  select day, event_name, destination, sum(events)::bigint as events
    from (
      select t.day, t.event_name, n.name as destination, t.queued as events
        from (select day, event_name, queued from conversion_outbox.event_tally where queued <> 0
              union all select day, event_name, queued from conversion_outbox.event_tally_news where queued <> 0) t
       cross join conversion_outbox.live_destination n
      union all
      -- Those that are not counted, and of the counted ones those that somebody had in hand and that are done at some destinations.
      select conversion_outbox.day_of(e.occurred_at), e.event_name, n.name, case when q.counted then -1 else 1 end
        from conversion_outbox.queue q
       cross join lateral (select w.occurred_at, w.event_name from conversion_outbox.event w where w.event_no = q.event_no offset 0) e
       cross join conversion_outbox.live_destination n
       where (q.claim_no > 0 or not q.counted)
         and q.counted = exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name)) t
   group by day, event_name, destination
  having sum(events) <> 0;
comment on view conversion_outbox.queued_day is 'Events in the queue that have no delivery yet at a destination that some worker serves, by the day (UTC) on which they occurred.';

-- The same backlog as before, but a long queue is gone through once whatever the number of destinations, and its events are not read.
create or replace view conversion_outbox.destination_backlog as
  with untouched as materialized (
    select count(*) as fresh, min(q.event_no) as first_no, count(*) filter (where q.lease_until > now()) as leased
      from conversion_outbox.queue q where q.claim_no = 0
  ),
  touched as materialized (
    select q.event_no, q.lease_until from conversion_outbox.queue q where q.claim_no > 0
  )
  select n.name as destination, n.platform, n.enabled,
         n.hold_reason, n.hold_code, n.hold_advice, n.held_since, n.probe_at,
         w.waiting + coalesce(f.fresh, 0) as pending,
         w.retrying as retrying,
         w.due + coalesce(f.fresh, 0) as due,
         -- Numbers are given in the order of insertion.
         least(w.oldest_due, o.recorded_at) as oldest_due_at,
         least(w.oldest, o.recorded_at) as oldest_recorded_at,
         w.expiring as expiring,
         w.leased + coalesce(f.leased, 0) as leased,
         n.throttled_until
    from conversion_outbox.destination n
   cross join lateral (
      select count(*) as waiting,
             count(*) filter (where d.tries > 0) as retrying,
             count(*) filter (where d.due_at <= now()) as due,
             min(d.due_at) filter (where d.due_at <= now()) as oldest_due,
             (select e.recorded_at from conversion_outbox.event e where e.event_no = min(d.event_no)) as oldest,
             count(*) filter (where d.expires_at < now() + interval '24 hours') as expiring,
             count(*) filter (where d.lease_until > now()) as leased
        from conversion_outbox.delivery d
       where d.destination = n.name and d.state = 'pending') w
    left join lateral (
      select u.fresh + t.fresh as fresh, u.leased + t.leased as leased, least(u.first_no, t.first_no) as first_no
        from untouched u
       cross join (
         select count(*) as fresh, count(*) filter (where q.lease_until > now()) as leased, min(q.event_no) as first_no
           from touched q
          where not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name)) t
       where n.name in (select l.name from conversion_outbox.live_destination l)) f on true
    left join conversion_outbox.event o on o.event_no = f.first_no;

-- Whoever shows pages with the worker's login shows the ids of events; the worker reads the table anyway.
grant select on conversion_outbox.queued_day to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
grant select on conversion_outbox.event_log to conversion_outbox_worker;

-- --- repeats, for metrics ---

-- A repeat is counted by the worker that takes it, so that the counters of all workers add up to the truth. As with the news
-- above, the application's transaction adds a row of its own and waits for nobody.
create table conversion_outbox.repeat_news (
  duplicates bigint not null,
  conflicts  bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
alter table conversion_outbox.repeat_news replica identity full;
comment on table conversion_outbox.repeat_news is 'Repeats of events that no worker has counted yet (table repeat has them for ever).';

create function conversion_outbox.tell_repeat() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
begin
  insert into conversion_outbox.repeat_news (duplicates, conflicts)
  values (new.duplicates - coalesce(old.duplicates, 0), new.conflicts - coalesce(old.conflicts, 0));
  return null;
end
$$;
comment on function conversion_outbox.tell_repeat is 'Tells workers of a repeat.';
create trigger tell_repeat after insert or update of duplicates, conflicts on conversion_outbox.repeat
  for each row execute function conversion_outbox.tell_repeat();

create function conversion_outbox.take_repeats(batch integer, out duplicates bigint, out conflicts bigint, out is_more boolean)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
declare
  taken bigint;
begin
  if batch is null or batch not between 1 and 100000 then
    raise exception using errcode = 'OB024', message = 'take_repeats: batch must be 1 to 100000', hint = 'Leave this call to the worker.';
  end if;
  with gone as (
    delete from conversion_outbox.repeat_news n
     where n.ctid = any (array(select w.ctid from conversion_outbox.repeat_news w limit batch for update skip locked))
    returning n.duplicates, n.conflicts)
  select coalesce(sum(gone.duplicates), 0), coalesce(sum(gone.conflicts), 0), count(*) into duplicates, conflicts, taken from gone;
  is_more := taken = batch;
end
$$;
comment on function conversion_outbox.take_repeats is 'Gives up to so many repeats to whoever asks first, and to nobody else.';

revoke all on conversion_outbox.repeat_news from public;
revoke all on function conversion_outbox.tell_repeat, conversion_outbox.take_repeats from public;
grant execute on function conversion_outbox.take_repeats to conversion_outbox_worker;
