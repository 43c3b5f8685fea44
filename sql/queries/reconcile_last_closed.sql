-- The last closed day of each entry that is still computed, with its destinations, without its gaps.
select to_jsonb(d) - 'fingerprint' || jsonb_build_object('destinations', (
         select coalesce(jsonb_agg(to_jsonb(x) order by x.destination), '[]')
           from conversion_outbox.reconciliation_destination x
          where x.entry = d.entry and x.day = d.day)) as result
  from conversion_outbox.reconciliation_run r
 cross join lateral (
       select * from conversion_outbox.reconciliation_day c
        where c.entry = r.entry and c.is_closed
        order by c.day desc limit 1) d
 where r.began_at > (select max(l.began_at) from conversion_outbox.reconciliation_run l) - interval '2 days'
 order by d.entry
