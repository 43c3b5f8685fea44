-- Thirty days of comparisons with three sources, at four destinations each, with $1 ids listed for each day, in the outbox and at each destination.
-- $1 bigint ids
with entries as (
  insert into conversion_outbox.reconciliation_run (entry, began_at, ended_at)
  select entry, now(), now() from unnest(array['orders', 'leads', 'deals']) entry
  on conflict (entry) do nothing
),
days as (
  select entry, event_name, current_date - back as day
    from unnest(array['orders', 'leads', 'deals'], array['order_paid', 'lead_created', 'deal_won']) e (entry, event_name)
   cross join generate_series(0, 29) back
),
compared as (
  insert into conversion_outbox.reconciliation_day (
    entry, day, event_name, time_zone, begins_at, ends_at, source_rows, source_value, source_duplicates, outbox_rows, outbox_value, matched, missing,
    extra, value_differs, other_day, tolerance_percent, is_closed, closes_at, open_because, gaps_left_out, computed_at, fingerprint)
  select entry, day, event_name, 'UTC', day, day + 1, 100000, '{"EUR": "1000000.00"}', 0, 100000 - $1, '{"EUR": "990000.00"}', 100000 - $1, $1,
         0, 0, 0, 5, true, day + 3, '{}', 0, now(), '\x00'
    from days
  on conflict (entry, day) do update set missing = excluded.missing, outbox_rows = excluded.outbox_rows, matched = excluded.matched
),
places as (
  insert into conversion_outbox.reconciliation_destination (
    entry, day, destination, platform, accepted, sent, pending, in_queue, suppressed, skipped, expired, rejected, uncertain, exhausted, cancelled,
    no_delivery, arrived_value, expected, difference, is_within, is_closed, closes_at, whys)
  select entry, day, destination, split_part(destination, '-', 1), 100000 - 2 * $1, 0, 0, 0, 0, 0, 0, $1, 0, 0, 0,
         0, '{"EUR": "980000.00"}', 100000, -2 * $1, $1 < 2500, true, day + 3, '{}'
    from days cross join unnest(array['meta-a', 'meta-b', 'ga4-a', 'ga4-b']) destination
  on conflict (entry, day, destination) do update set rejected = excluded.rejected, accepted = excluded.accepted, difference = excluded.difference
)
insert into conversion_outbox.reconciliation_gap (entry, day, gap_no, destination, business_id, event_id, why, reason, source, occurred_at)
select entry, day, row_number() over (partition by entry, day), destination, 'page-' || n, case when destination is not null then 'page-' || n end,
       case when destination is null then 'no_row' else 'rejected' end, case when destination is not null then 'refused_by_platform' end, '10.00 EUR', day
  from days cross join unnest(array[null, 'meta-a', 'meta-b', 'ga4-a', 'ga4-b']) destination
 cross join generate_series(1, $1) n
