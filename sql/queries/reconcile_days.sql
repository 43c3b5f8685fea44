-- Computed days with their destinations, without their gaps, the latest first.
-- $1 text entry, or null for all   $2 date first   $3 date last
select to_jsonb(d) - 'fingerprint' || jsonb_build_object('destinations', (
         select coalesce(jsonb_agg(to_jsonb(x) order by x.destination), '[]')
           from conversion_outbox.reconciliation_destination x
          where x.entry = d.entry and x.day = d.day)) as result
  from conversion_outbox.reconciliation_day d
 where ($1 is null or d.entry = $1) and d.day between $2 and $3
 order by d.entry, d.day desc
