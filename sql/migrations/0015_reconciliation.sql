-- The difference against the source of truth.
set local role conversion_outbox_owner;

-- The events of one day, without reading all there are. A few kilobytes for millions of rows, and next to nothing for each
-- insert. Its ranges hold several spans each, so an event that is written late does not make a range useless. Making it reads the
-- table while inserts wait, about a second for each gigabyte: so where there is much already, a person makes it beside
-- them ("concurrently"), and the command doctor says how. Reconciliation works without it, more slowly.
do $$
begin
  if pg_relation_size('conversion_outbox.event') < 512 * 1024 * 1024 then
    create index event_by_day on conversion_outbox.event using brin (occurred_at timestamptz_minmax_multi_ops)
      with (pages_per_range = 64, autosummarize = on);
  end if;
end
$$;

create table conversion_outbox.platform_report (
  destination text collate "C" not null,
  event_name  text        not null,
  day         date        not null,
  time_zone   text        not null,
  source      text        not null,
  conversions numeric     not null,
  value       numeric,
  currency    text,
  ids         jsonb,
  details     jsonb,
  fetched_at  timestamptz not null default now(),

  primary key (destination, event_name, day, source),
  constraint source_of_a_report_is_known check (source in ('api', 'csv')),
  constraint a_report_counts_something check (conversions >= 0),
  constraint reported_ids_are_an_object check (jsonb_typeof(ids) = 'object')
);
comment on table conversion_outbox.platform_report is 'What platforms themselves say that they counted, per day of their own time zone: asked from their API, or imported from a file. The latest of both counts.';
comment on column conversion_outbox.platform_report.day is 'The platform''s day, in time_zone.';
comment on column conversion_outbox.platform_report.conversions is 'Not always whole: where a platform shares a conversion among clicks.';
comment on column conversion_outbox.platform_report.ids is '{"business or transaction id": how often} where the platform tells them; null where it tells none.';
comment on column conversion_outbox.platform_report.details is 'What else the platform said of its number, such as its own name of the event, or counts: received, attributed, shared or incomplete. Never personal data.';

create table conversion_outbox.reconciliation_run (
  entry       text collate "C" primary key,
  began_at    timestamptz,
  ended_at    timestamptz,
  lease_until timestamptz,
  failed      text,
  notes       jsonb
);
comment on table conversion_outbox.reconciliation_run is 'When each [[reconcile]] entry was last computed by a worker, and what went wrong.';
comment on column conversion_outbox.reconciliation_run.lease_until is 'One worker is at it until then; null when none is.';
comment on column conversion_outbox.reconciliation_run.failed is 'Why the last run failed; null when it did not.';
comment on column conversion_outbox.reconciliation_run.notes is 'What the last run could not do though it went on: ["destination: why"].';

create table conversion_outbox.reconciliation_day (
  entry              text collate "C" not null,
  day                date        not null,
  event_name         text        not null,
  time_zone          text        not null,
  begins_at          timestamptz not null,
  ends_at            timestamptz not null,
  source_rows        bigint      not null,
  source_value       jsonb       not null,
  source_duplicates  bigint      not null,
  outbox_rows        bigint      not null,
  outbox_value       jsonb       not null,
  matched            bigint      not null,
  missing            bigint      not null,
  extra              bigint      not null,
  value_differs      bigint      not null,
  other_day          bigint      not null,
  tolerance_percent  integer     not null,
  is_closed          boolean     not null,
  closes_at          timestamptz not null,
  open_because       text[]      not null,
  gaps_left_out      bigint      not null,
  computed_at        timestamptz not null,
  closed_at          timestamptz,
  changed_at         timestamptz,
  changes            integer     not null default 0,
  fingerprint        bytea       not null,

  primary key (entry, day)
);
create index reconciliation_by_day on conversion_outbox.reconciliation_day (day);
comment on table conversion_outbox.reconciliation_day is 'One day of one [[reconcile]] entry: the application''s own table against the outbox. The day is one of time_zone.';
comment on column conversion_outbox.reconciliation_day.source_rows is 'Rows of the entry''s query, identical ones counted once.';
comment on column conversion_outbox.reconciliation_day.source_value is '{"EUR": "123.45"}: their amounts, by currency.';
comment on column conversion_outbox.reconciliation_day.source_duplicates is 'Identical rows of the query beyond the first.';
comment on column conversion_outbox.reconciliation_day.outbox_value is '{"EUR": "123.45"}: amounts of the day''s events, by currency.';
comment on column conversion_outbox.reconciliation_day.matched is 'Source rows that have an event, of whatever day and amount.';
comment on column conversion_outbox.reconciliation_day.missing is 'Source rows without an event.';
comment on column conversion_outbox.reconciliation_day.extra is 'Events of the day that no source row belongs to.';
comment on column conversion_outbox.reconciliation_day.value_differs is 'Matched with another amount or currency.';
comment on column conversion_outbox.reconciliation_day.other_day is 'Matched with an event of another day.';
comment on column conversion_outbox.reconciliation_day.closes_at is 'When the last platform''s numbers are final and late rows are not waited for any more.';
comment on column conversion_outbox.reconciliation_day.open_because is 'Why it is not closed; empty when it is.';
comment on column conversion_outbox.reconciliation_day.gaps_left_out is 'Gaps that are counted and not listed in reconciliation_gap, which is bounded.';
comment on column conversion_outbox.reconciliation_day.closed_at is 'When it was first found closed.';
comment on column conversion_outbox.reconciliation_day.changed_at is 'When its numbers last changed after that; null while they never did.';
comment on column conversion_outbox.reconciliation_day.changes is 'How often they did.';

create table conversion_outbox.reconciliation_destination (
  entry              text collate "C" not null,
  day                date        not null,
  destination        text collate "C" not null,
  platform           text        not null,
  accepted           bigint      not null,
  sent               bigint      not null,
  pending            bigint      not null,
  in_queue           bigint      not null,
  suppressed         bigint      not null,
  skipped            bigint      not null,
  expired            bigint      not null,
  rejected           bigint      not null,
  uncertain          bigint      not null,
  exhausted          bigint      not null,
  cancelled          bigint      not null,
  no_delivery        bigint      not null,
  arrived_value      jsonb       not null,
  expected           bigint      not null,
  reported           numeric,
  reported_value     numeric,
  reported_currency  text,
  reported_time_zone text,
  reported_source    text,
  reported_counts    text,
  reported_at        timestamptz,
  arrived_in_reported_day bigint,
  difference         numeric     not null,
  is_within          boolean     not null,
  is_closed          boolean     not null,
  closes_at          timestamptz not null,
  whys               jsonb       not null,

  primary key (entry, day, destination)
);
comment on table conversion_outbox.reconciliation_destination is 'What became of a day''s events at one destination, and what the platform says of it.';
comment on column conversion_outbox.reconciliation_destination.no_delivery is 'Events that were finished before the destination was there.';
comment on column conversion_outbox.reconciliation_destination.arrived_value is '{"EUR": "123.45"}: amounts of what was accepted or sent, by currency.';
comment on column conversion_outbox.reconciliation_destination.expected is 'Source rows less those that were withheld for a good reason: suppressed, skipped or cancelled.';
comment on column conversion_outbox.reconciliation_destination.reported is 'What the platform says that it counted on its own day; null where it said nothing.';
comment on column conversion_outbox.reconciliation_destination.reported_counts is 'received: every event that it took; attributed: only those that it ascribes to an advertisement; shared: those of several events; incomplete: a sample, or less than all. Only from the first a difference follows.';
comment on column conversion_outbox.reconciliation_destination.arrived_in_reported_day is 'What was accepted or sent of the events of the platform''s day, in its own time zone.';
comment on column conversion_outbox.reconciliation_destination.difference is 'accepted + sent - expected, and where the platform reports all it took: + reported - arrived_in_reported_day. Below nought: it counts less than it should.';
comment on column conversion_outbox.reconciliation_destination.is_within is 'Whether the difference is within the entry''s tolerance.';
comment on column conversion_outbox.reconciliation_destination.whys is '{"suppressed/consent_denied": 12}: how many are missing for which reason.';

create table conversion_outbox.reconciliation_gap (
  entry       text collate "C" not null,
  day         date    not null,
  gap_no      integer not null,
  destination text collate "C",
  business_id text collate "C" not null,
  event_id    text,
  why         text    not null,
  reason      text,
  source      text,
  outbox      text,
  occurred_at timestamptz,

  primary key (entry, day, gap_no)
);
comment on table conversion_outbox.reconciliation_gap is 'Every business id that is missing, extra or different, and why; destination is null where it concerns the outbox itself. Ids only, never personal data; bounded, and removed after keep_gaps_days.';
comment on column conversion_outbox.reconciliation_gap.why is 'From a closed list, in the documentation of reconciliation.';
comment on column conversion_outbox.reconciliation_gap.reason is 'The delivery''s reason and error code, or what else is known.';
comment on column conversion_outbox.reconciliation_gap.source is 'Amount and currency in the application''s table, where they differ.';
comment on column conversion_outbox.reconciliation_gap.outbox is 'Amount and currency in the outbox, where they differ.';

-- What an event is compared by, and what became of it; nothing of the person.
create view conversion_outbox.reconciliation_event as
  select e.event_name, e.event_id, e.business_id, e.occurred_at, e.value, e.currency,
         coalesce(r.conflicts, 0) > 0 as has_conflict,
         exists (select from conversion_outbox.queue q where q.event_no = e.event_no) as is_queued,
         (select jsonb_object_agg(d.destination, jsonb_build_array(d.state, d.reason, d.error_code))
            from conversion_outbox.delivery d where d.event_no = e.event_no) as standings
    from conversion_outbox.event e
    left join conversion_outbox.repeat r on r.event_id = e.event_id;
comment on view conversion_outbox.reconciliation_event is 'Events as they are compared with their source. has_conflict: written again with other content; standings: {destination: [state, reason, error_code]}.';

-- One worker at a time, and not more often than asked for. A row with a time, since a pooler may take a session away.
create function conversion_outbox.claim_reconciliation(entry text, every interval, lease interval, clock timestamptz) returns boolean
language sql security definer
set search_path = conversion_outbox, pg_temp
as $$
  with claimed as (
    insert into conversion_outbox.reconciliation_run as r (entry, began_at, lease_until)
    values (claim_reconciliation.entry, clock, clock + lease)
    on conflict on constraint reconciliation_run_pkey do update
      set began_at = excluded.began_at, lease_until = excluded.lease_until
      where (r.lease_until is null or r.lease_until <= clock)
        and (r.began_at is null or r.began_at + every <= clock
             -- One that was broken off is begun anew when its lease has ended, and one that failed is tried again soon.
             or r.ended_at is null or r.ended_at < r.began_at
             or r.failed is not null and r.ended_at + least(every, interval '15 minutes') <= clock)
    returning true)
  select exists (select from claimed)
$$;
comment on function conversion_outbox.claim_reconciliation is 'Whether the caller is to compute the entry now; false while another does, and until so long after the last one began, or a quarter of an hour after one that failed.';

create function conversion_outbox.finish_reconciliation(entry text, failed text, notes jsonb, clock timestamptz) returns void
language sql security definer
set search_path = conversion_outbox, pg_temp
as $$
  update conversion_outbox.reconciliation_run r
     set ended_at = clock, lease_until = null, failed = left(finish_reconciliation.failed, 1000), notes = finish_reconciliation.notes
   where r.entry = finish_reconciliation.entry
$$;
comment on function conversion_outbox.finish_reconciliation is 'Says how a run went. The next one begins when its time has come.';

create function conversion_outbox.store_reconciliation(result jsonb) returns boolean
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
declare
  computed conversion_outbox.reconciliation_day := jsonb_populate_record(null::conversion_outbox.reconciliation_day, result - 'destinations' - 'gaps');
  before conversion_outbox.reconciliation_day;
  changed boolean := false;
begin
  -- Two runs of one entry never write at once: the first to come holds its row.
  perform from conversion_outbox.reconciliation_run r where r.entry = computed.entry for update;
  select * into before from conversion_outbox.reconciliation_day d where d.entry = computed.entry and d.day = computed.day;
  -- A run that stood still and was overtaken has nothing to say any more.
  if before.computed_at > computed.computed_at then
    return false;
  end if;
  -- What was found, without when it was looked at, when a platform was asked, and what is made of it.
  computed.fingerprint := sha256(convert_to((
    result - '{computed_at,closed_at,changed_at,changes,is_closed,closes_at,open_because,tolerance_percent,destinations}'::text[]
    || jsonb_build_object('destinations', (
         select jsonb_agg(d - '{reported_at,is_closed,closes_at,is_within}'::text[] order by d ->> 'destination')
           from jsonb_array_elements(result -> 'destinations') d)))::text, 'UTF8'));
  computed.closed_at := coalesce(before.closed_at, case when computed.is_closed then computed.computed_at end);
  changed := before.closed_at is not null and before.fingerprint <> computed.fingerprint;
  computed.changed_at := case when changed then computed.computed_at else before.changed_at end;
  computed.changes := coalesce(before.changes, 0) + changed::integer;

  delete from conversion_outbox.reconciliation_day d where d.entry = computed.entry and d.day = computed.day;
  delete from conversion_outbox.reconciliation_destination d where d.entry = computed.entry and d.day = computed.day;
  delete from conversion_outbox.reconciliation_gap g where g.entry = computed.entry and g.day = computed.day;
  insert into conversion_outbox.reconciliation_day values (computed.*);
  insert into conversion_outbox.reconciliation_destination
    select (jsonb_populate_record(null::conversion_outbox.reconciliation_destination,
              d || jsonb_build_object('entry', computed.entry, 'day', computed.day))).*
      from jsonb_array_elements(result -> 'destinations') d;
  insert into conversion_outbox.reconciliation_gap
    select (jsonb_populate_record(null::conversion_outbox.reconciliation_gap,
              g || jsonb_build_object('entry', computed.entry, 'day', computed.day, 'gap_no', gap_no))).*
      from jsonb_array_elements(result -> 'gaps') with ordinality as g (g, gap_no);
  return changed;
end
$$;
comment on function conversion_outbox.store_reconciliation is 'Puts a computed day in the place of the former one. Returns whether the day had been closed and is different now.';

create function conversion_outbox.store_platform_reports(reports jsonb) returns bigint
language sql security definer
set search_path = conversion_outbox, pg_temp
as $$
  with told as (
    select (jsonb_populate_record(null::conversion_outbox.platform_report, r)).* from jsonb_array_elements(reports) r),
  -- Of one snapshot with what is written below: as it was before.
  different as (
    select from told t
     where not exists (
       select from conversion_outbox.platform_report p
        where (p.destination, p.event_name, p.day, p.source) = (t.destination, t.event_name, t.day, t.source)
          and (p.time_zone, p.conversions, p.value, p.currency, p.ids, p.details)
              is not distinct from (t.time_zone, t.conversions, t.value, t.currency, t.ids, t.details))),
  -- The same number said again is a later word, and may be the final one.
  stored as (
    insert into conversion_outbox.platform_report as p
    select * from told
    on conflict on constraint platform_report_pkey do update
      set time_zone = excluded.time_zone, conversions = excluded.conversions, value = excluded.value, currency = excluded.currency,
          ids = excluded.ids, details = excluded.details, fetched_at = greatest(p.fetched_at, excluded.fetched_at))
  select count(*) from different
$$;
comment on function conversion_outbox.store_platform_reports is 'Takes what platforms report, in place of what they said before of the same day. Returns how many rows are new or different.';

create function conversion_outbox.forget_gaps(entry text, event_name text, before date) returns bigint
language sql security definer
set search_path = conversion_outbox, pg_temp
as $$
  with gone as (
    delete from conversion_outbox.reconciliation_gap g where g.entry = forget_gaps.entry and g.day < before returning true),
  untold as (
    update conversion_outbox.platform_report p set ids = null
     where p.event_name = forget_gaps.event_name and p.day < before and p.ids is not null)
  select count(*) from gone
$$;
comment on function conversion_outbox.forget_gaps is 'Removes the lists of ids of days before this one, those that platforms told too; the counts stay.';

-- What the application forgot, written later by a person. The stable id makes a second time harmless.
create function conversion_outbox.backfill(events jsonb, reason text, run bigint default null,
  out audit_no bigint, out created bigint, out duplicates bigint, out conflicts bigint)
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
#variable_conflict use_variable
declare
  one jsonb;
  said text;
begin
  if jsonb_typeof(events) is distinct from 'array' or jsonb_array_length(events) not between 1 and 1000 then
    perform conversion_outbox.refuse_by_hand('OB033', 'name 1 to 1000 events', 'Call it again for more, with the run that the first call returned.');
  end if;
  audit_no := conversion_outbox.open_run(run, 'backfill', reason, '{}');
  created := 0; duplicates := 0; conflicts := 0;
  for one in select e from jsonb_array_elements(events) e loop
    said := (conversion_outbox.enqueue(
      event_id => one ->> 'event_id', event_name => one ->> 'event_name', business_id => one ->> 'business_id',
      consent => one -> 'consent', occurred_at => (one ->> 'occurred_at')::timestamptz,
      value => (one ->> 'value')::numeric, currency => one ->> 'currency',
      user_data => nullif(one -> 'user_data', 'null'), click_ids => nullif(one -> 'click_ids', 'null'),
      properties => nullif(one -> 'properties', 'null'), action_source => one ->> 'action_source', page_url => one ->> 'page_url',
      source => one ->> 'source', depends_on => one ->> 'depends_on')).outcome;
    case said
      when 'created' then created := created + 1;
      when 'duplicate' then duplicates := duplicates + 1;
      else conflicts := conflicts + 1;
    end case;
  end loop;
  perform conversion_outbox.add_to_run(audit_no, jsonb_build_object('created', created, 'duplicate', duplicates, 'conflict', conflicts));
end
$$;
comment on function conversion_outbox.backfill is 'Writes events that the application forgot, through enqueue: old times are kept, what is there already is only counted. One row of audit a run.';

revoke all on function conversion_outbox.claim_reconciliation, conversion_outbox.finish_reconciliation, conversion_outbox.store_reconciliation,
  conversion_outbox.store_platform_reports, conversion_outbox.forget_gaps, conversion_outbox.backfill from public;
grant execute on function conversion_outbox.claim_reconciliation, conversion_outbox.finish_reconciliation,
  conversion_outbox.store_reconciliation, conversion_outbox.forget_gaps to conversion_outbox_worker;
grant execute on function conversion_outbox.store_platform_reports to conversion_outbox_worker, conversion_outbox_operator;
grant execute on function conversion_outbox.backfill to conversion_outbox_operator;
grant select on conversion_outbox.platform_report, conversion_outbox.reconciliation_run, conversion_outbox.reconciliation_day,
  conversion_outbox.reconciliation_destination, conversion_outbox.reconciliation_gap, conversion_outbox.reconciliation_event
  to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
