-- Where the running totals differ from the rows.
select coalesce(t.destination, d.destination) as destination, coalesce(t.state, d.state) as state,
       coalesce(t.total, 0)::bigint as counted, coalesce(d.there, 0)::bigint as there
  from conversion_outbox.destination_total t
  full join (select destination, state, count(*) as there from conversion_outbox.delivery where state <> 'pending' group by 1, 2) d
       on d.destination = t.destination and d.state = t.state
 where coalesce(t.total, 0) <> coalesce(d.there, 0)
