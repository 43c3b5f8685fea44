-- A month of a shop, in every state there is: what the pages are looked at with. The same in every run, but for the day it
-- ends on. Run by the owner of the database, on an empty schema.
begin;

insert into conversion_outbox.destination (name, platform, registered_at, last_seen_at) values
  ('meta', 'meta', now() - interval '40 days', now()),
  ('ga4', 'ga4', now() - interval '40 days', now()),
  ('google', 'google_data_manager', now() - interval '12 days', now()),
  ('linkedin', 'linkedin', now() - interval '40 days', now()),
  ('meta-of-a-shop-that-was-closed-and-is-still-named-here', 'meta', now() - interval '90 days', now() - interval '20 days');
update conversion_outbox.destination
   set hold_reason = 'credential', hold_code = '65601', held_since = now() - interval '3 hours', probe_at = now() + interval '9 days',
       hold_advice = 'replace the token in the secret file; the worker notices and goes on by itself'
 where name = 'linkedin';

-- Written by hand, so that they lie in the past: no trigger may have a say.
set local session_replication_role = replica;
insert into conversion_outbox.event
  (event_id, event_name, business_id, occurred_at, recorded_at, value, currency, consent, user_data, click_ids, action_source, source)
select format('%s:%s', e.event_name, e.business_id), e.event_name, e.business_id, e.occurred_at, e.occurred_at + interval '1 second',
       20 + e.chance % 180, 'EUR',
       case when e.chance % 100 < 71 then '{"ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted"}'
            when e.chance % 100 < 90 then '{"ad_storage": "denied", "analytics_storage": "granted", "ad_user_data": "denied", "ad_personalization": "denied"}'
            else '{"ad_storage": "unspecified", "analytics_storage": "unspecified", "ad_user_data": "unspecified", "ad_personalization": "unspecified"}' end::jsonb,
       jsonb_strip_nulls(jsonb_build_object(
         'email', case when e.chance % 37 < e.known and not (e.ago < 4 and e.event_name = 'lead_created' and e.chance % 2 = 0) then 'nobody@example.com' end,
         'phone', case when e.chance % 41 < e.known / 3 then '+4930123456' end,
         'external_id', case when e.event_name <> 'lead_created' then e.business_id end)),
       case when e.chance % 43 < 24 - e.known / 4 then '{"gclid": "click-of-nobody"}' else '{}' end::jsonb, 'website', 'shop'
  from (
    select k.event_name, d.ago, k.known, format('%s-%s', 1000 + 30 - d.ago, n) as business_id,
           abs(hashtext(format('%s/%s/%s', k.event_name, d.ago, n))) as chance,
           date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' - make_interval(days => d.ago)
             + least(interval '86399 seconds', (now() - date_trunc('day', now() at time zone 'UTC') at time zone 'UTC') * case when d.ago = 0 then 0.98 else 1e6 end)
               * (n::float8 / (s.a_day + 1)) as occurred_at
      from (values ('order_paid', 46, 33), ('lead_created', 21, 25), ('order_refunded', 4, 34), ('subscription_started', 9, 30)) as k (event_name, often, known)
     cross join generate_series(0, 29) as d (ago)
     cross join lateral (select (k.often * (0.75 + 0.35 * sin(d.ago * 0.9) + (29 - d.ago) * 0.012))::integer + 1 as a_day) s
     cross join lateral generate_series(1, s.a_day) as n
  ) e;
-- Ids that somebody made up to do harm, or just in another alphabet.
insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, recorded_at, consent)
select event_id, 'order_paid', event_id, now() - interval '2 hours', now() - interval '2 hours', '{"ad_user_data": "granted"}'
  from (values ('<script>alert("1")</script>'), (E'"><img src=x onerror=alert(1)>'), (E'\u202Egnp.exe-\u05d0\u05d1\u05d2'), (repeat('W', 128)), ('a/b?c#d%20&amp;')) as h (event_id);
-- The latest have just happened, and are in the queue.
create temporary table latest on commit drop as
select event_no, row_number() over (order by occurred_at desc) as place
  from conversion_outbox.event where event_id ~ '^[a-z_]+:' order by occurred_at desc limit 6;
update conversion_outbox.event e
   set occurred_at = now() - make_interval(secs => 7 * l.place), recorded_at = now() - make_interval(secs => 7 * l.place)
  from latest l where l.event_no = e.event_no;
insert into conversion_outbox.queue (event_no) select event_no from conversion_outbox.event order by event_no;
set local session_replication_role = origin;

-- What became of each at each destination: chance decides, and the days on which something was wrong.
create temporary table fate on commit drop as
select e.event_no, e.event_id, e.event_name, e.occurred_at, e.recorded_at, d.destination,
       abs(hashtext(e.event_id || d.destination)) % 1000 as chance, e.consent ->> 'ad_user_data' as consent,
       e.user_data <> '{}' or e.click_ids <> '{}' as is_known,
       (now() at time zone 'UTC')::date - (e.occurred_at at time zone 'UTC')::date as ago,
       e.event_id !~ '^[a-z_]+:' as is_hostile
  from conversion_outbox.event e
 cross join (values ('meta', 40), ('ga4', 40), ('google', 12), ('linkedin', 40)) as d (destination, registered)
 where e.occurred_at > now() - make_interval(days => d.registered)
   and e.event_no not in (select event_no from latest);

create temporary table outcome on commit drop as
select f.*, o.state, o.reason, o.error_code, o.response_code,
       case when f.destination = 'meta' and f.ago = 2 and f.chance < 300 then interval '3 hours'
            when f.chance % 97 = 0 then interval '40 minutes' else interval '1 second' * (1 + f.chance % 20) end as later
  from fate f
 cross join lateral (
   select case
     when f.is_hostile then array['rejected', 'refused_by_platform', '<b>100</b>', '400']
     when f.destination = 'linkedin' and f.event_name in ('order_refunded', 'subscription_started') then array['skipped', 'unsupported_event', null, null]
     when f.destination = 'meta' and f.event_name = 'order_refunded' then array['skipped', 'unsupported_event', null, null]
     when f.destination <> 'ga4' and f.consent = 'denied' then array['suppressed', 'consent_denied', null, null]
     when f.destination <> 'ga4' and f.consent = 'unspecified' then array['suppressed', 'consent_unspecified', null, null]
     when f.chance < 12 then array['suppressed', 'withdrawn', null, null]
     when not f.is_known or (f.destination = 'google' and f.chance % 31 = 0) then array['skipped', 'no_identifier', null, null]
     when f.destination = 'linkedin' and f.ago = 0 then array['pending', 'destination_held', '65601', '401']
     when f.chance between 20 and 24 then array['rejected', 'refused_by_platform', '2804019', '400']
     when f.chance between 25 and 26 then array['rejected', 'invalid_payload', 'currency', null]
     when f.chance = 27 then array['uncertain', 'no_answer', 'timeout', null]
     when f.chance = 28 then array['exhausted', 'attempts_used_up', null, '503']
     when f.chance = 29 then array['expired', 'too_old', null, null]
     when f.chance = 30 then array['cancelled', 'by_operator', null, null]
     when f.destination = 'meta' and f.ago = 0 and f.chance > 960 then array['pending', 'retry', 'timeout', null]
     when f.destination = 'ga4' then array['sent', null, null, '204']
     when f.destination = 'google' and f.ago = 0 then array['sent', null, null, '200']
     when f.destination = 'google' and f.chance % 19 = 0 then array['accepted', 'unmatched', null, '200']
     else array['accepted', null, null, '200'] end as a) w
 cross join lateral (select w.a[1] as state, w.a[2] as reason, w.a[3] as error_code, w.a[4]::smallint as response_code) o;

insert into conversion_outbox.delivery
  (event_no, destination, state, reason, tries, attempts, response_code, error_code, duration_ms, tried_at, settled_at, due_at, lease_until, expires_at, payload_hash)
select event_no, destination, state, reason, t.tries, t.tries, case when t.tries > 0 then response_code end, error_code,
       case when t.tries > 0 then 80 + chance % 300 end, case when t.tries > 0 then least(recorded_at + later, now()) end,
       case when state <> 'pending' then least(recorded_at + later, now()) end,
       -- What waits at Meta waits on; what waits at LinkedIn is due, and held.
       case when state = 'pending' then case destination when 'meta' then now() + interval '9 days' else recorded_at end end,
       null, case when state = 'pending' and chance < 500 then now() + interval '20 hours' when state = 'pending' then now() + interval '60 days' end,
       case when t.tries > 0 then sha256(int8send(event_no)) end
  from outcome
 cross join lateral (select case when state in ('suppressed', 'skipped', 'expired', 'cancelled') or reason = 'invalid_payload' then 0
                                 when state = 'exhausted' then 8 when later > interval '30 minutes' or state = 'pending' then 2 else 1 end as tries) t;

-- Tries before the last one, and the last one of what took several.
insert into conversion_outbox.attempt (event_no, destination, try_no, outcome, counted, tried_at, duration_ms, response_code, error_code, payload_hash)
select d.event_no, d.destination, n,
       case when n < d.tries then case when o.chance % 3 = 0 then 'rate_limited' else 'retry' end
            else case d.state when 'accepted' then 'accepted' when 'sent' then 'sent' when 'rejected' then 'rejected' when 'uncertain' then 'ambiguous'
                        when 'pending' then case d.destination when 'linkedin' then 'hold' else 'ambiguous' end else 'retry' end end,
       true, least(o.recorded_at + o.later * n / d.tries, now()), 50 + o.chance % 900,
       case when n = d.tries then d.response_code when o.chance % 3 = 0 then 429 else 503 end, case when n = d.tries then d.error_code end, d.payload_hash
  from conversion_outbox.delivery d
  join outcome o using (event_no, destination)
 cross join lateral generate_series(1, d.tries) n
 where d.tries > 1;

delete from conversion_outbox.queue where event_no in (select event_no from fate);
-- A worker has these in hand, for longer than anybody looks.
update conversion_outbox.queue set lease_until = now() + interval '9 days';

-- Each final state was entered once.
insert into conversion_outbox.delivery_total (destination, state, slot, total, retried)
select destination, state, 0, count(*), count(*) filter (where tries > 1) from conversion_outbox.delivery where state <> 'pending' group by 1, 2;
commit;

-- --- against the source of truth: two weeks of orders, and a week of leads ---

insert into conversion_outbox.reconciliation_run (entry, began_at, ended_at, notes)
values ('orders', now() - interval '12 minutes', now() - interval '11 minutes', '["linkedin: the token may not read reports; give it r_ads_reporting"]'),
       ('leads', now() - interval '11 minutes', now() - interval '11 minutes', '[]');

insert into conversion_outbox.reconciliation_day (
  entry, day, event_name, time_zone, begins_at, ends_at, source_rows, source_value, source_duplicates, outbox_rows, outbox_value, matched,
  missing, extra, value_differs, other_day, tolerance_percent, is_closed, closes_at, open_because, gaps_left_out, computed_at, closed_at,
  changed_at, changes, fingerprint)
select e.entry, d.day, e.event_name, e.time_zone, d.day::timestamp at time zone e.time_zone, (d.day + 1)::timestamp at time zone e.time_zone,
       r.source_rows, case when e.entry = 'orders' then jsonb_build_object('EUR', (r.source_rows * 49.9)::text) else '{}' end, (d.ago = 6)::integer,
       r.source_rows - r.missing + r.extra, case when e.entry = 'orders' then jsonb_build_object('EUR', ((r.source_rows - r.missing + r.extra) * 49.9)::text) else '{}' end,
       r.source_rows - r.missing, r.missing, r.extra, (d.ago = 8)::integer, (d.ago = 3)::integer, 5, d.ago > 3,
       (d.day + 4)::timestamp at time zone e.time_zone,
       case when d.ago > 3 then '{}' else array['rows may come until ' || (d.day + 3), 'ga4 has not finished its numbers'] end, 0,
       now() - interval '11 minutes', case when d.ago > 3 then (d.day + 4)::timestamp at time zone e.time_zone end,
       case when d.ago = 9 then now() - interval '2 days' end, (d.ago = 9)::integer, sha256(d.day::text::bytea)
  from (values ('orders', 'order_paid', 'Europe/Berlin', 14), ('leads', 'lead_created', 'Europe/Berlin', 8)) e (entry, event_name, time_zone, days)
 cross join lateral (select ago, current_date - ago as day from generate_series(0, e.days - 1) ago) d
 cross join lateral (
   select case when e.entry = 'orders' then 180 + (d.ago * 37) % 90 else 24 + (d.ago * 7) % 15 end as source_rows,
          case when e.entry = 'leads' then 0 when d.ago = 5 then 23 when d.ago = 10 then 4 when d.ago = 0 then 2 else 0 end as missing,
          case when d.ago = 7 then 1 else 0 end as extra) r;

insert into conversion_outbox.reconciliation_destination (
  entry, day, destination, platform, accepted, sent, pending, in_queue, suppressed, skipped, expired, rejected, uncertain, exhausted, cancelled,
  no_delivery, arrived_value, expected, reported, reported_value, reported_currency, reported_time_zone, reported_source, reported_counts,
  reported_at, arrived_in_reported_day, difference, is_within, is_closed, closes_at, whys)
select y.entry, y.day, t.destination, t.platform, case when t.platform = 'ga4' then 0 else n.arrived end, case when t.platform = 'ga4' then n.arrived else 0 end,
       n.pending, 0, n.suppressed, 0, 0, n.rejected, 0, 0, 0, 0, jsonb_build_object('EUR', (n.arrived * 49.9)::text), y.source_rows - n.suppressed,
       n.reported, n.reported * 49.9, case when n.reported is not null then 'EUR' end, case when n.reported is not null then t.zone end,
       case when n.reported is not null then 'api' end, case when n.reported is not null then t.counts end,
       case when n.reported is not null then now() - interval '11 minutes' end, case when n.reported is not null then n.arrived end,
       n.arrived - (y.source_rows - n.suppressed) + case when t.counts = 'received' and n.reported is not null then n.reported - n.arrived else 0 end,
       abs(n.arrived - (y.source_rows - n.suppressed) + case when t.counts = 'received' and n.reported is not null then n.reported - n.arrived else 0 end) * 20
         <= y.source_rows - n.suppressed, y.is_closed, y.closes_at,
       jsonb_strip_nulls(jsonb_build_object('suppressed/consent_denied', n.suppressed, 'rejected/refused_by_platform', nullif(n.rejected, 0),
         'pending/retry', nullif(n.pending, 0), 'no_row', nullif(y.missing, 0)))
  from conversion_outbox.reconciliation_day y
 cross join (values ('meta', 'meta', 'UTC', 'received'), ('ga4', 'ga4', 'Europe/Berlin', 'received'), ('google', 'google_data_manager', 'Europe/Berlin', 'attributed'),
                    ('linkedin', 'linkedin', 'UTC', 'attributed')) t (destination, platform, zone, counts)
 cross join lateral (select current_date - y.day as ago) a
 cross join lateral (
   select (y.source_rows * 0.22)::integer as suppressed,
          case when t.destination = 'meta' and a.ago = 6 then 11 when t.destination = 'linkedin' and a.ago in (1, 2) then 3 else 0 end as rejected,
          case when a.ago = 0 then 6 else 0 end as pending) s
 cross join lateral (
   select s.suppressed, s.rejected, s.pending, y.source_rows - y.missing - s.suppressed - s.rejected - s.pending as arrived) w
 cross join lateral (
   select w.*, case when t.destination = 'linkedin' then null when t.counts = 'attributed' then (w.arrived * 0.4)::integer
                    when t.destination = 'ga4' and a.ago = 4 and y.entry = 'orders' then w.arrived - 31 when a.ago < 1 then null else w.arrived end as reported) n;

insert into conversion_outbox.reconciliation_gap (entry, day, gap_no, destination, business_id, event_id, why, reason, source, outbox, occurred_at)
select 'orders', current_date - 5, n, null, '2040-' || n, null, 'no_row', null, null, null, (current_date - 5) + make_interval(hours => n % 24)
  from generate_series(1, 23) n
union all
select 'orders', current_date - 5, 100 + n, 'meta', '1005-' || n, 'order_paid:1005-' || n, 'suppressed', 'consent_denied', null, null, (current_date - 5) + make_interval(mins => n)
  from generate_series(1, 30) n
union all
select 'orders', current_date - 8, 1, null, '1008-4', 'order_paid:1008-4', 'value_differs', null, '129.90 EUR', '119.90 EUR', (current_date - 8) + time '14:20';
