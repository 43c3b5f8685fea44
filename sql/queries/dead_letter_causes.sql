-- Dead letters by what they died of, the most frequent first, without reading them: from the tallies, and the first and the last of
-- each by an index.
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code, '' for none   $5 bigint how many groups at most
select g.destination, g.state, g.reason, nullif(g.error_code, '') as error_code, g.count, oldest.settled_at as oldest, newest.settled_at as newest,
       e.event_id as sample
  from (select destination, state, reason, error_code, sum(deliveries)::bigint as count
          from conversion_outbox.delivery_part
         where state in ('rejected', 'uncertain', 'exhausted')
           and ($1 is null or destination = $1) and ($2 is null or state = $2) and ($3 is null or reason = $3) and ($4 is null or error_code = $4)
         group by destination, state, reason, error_code
        having sum(deliveries) > 0) g
 cross join lateral (
   select d.settled_at from conversion_outbox.delivery d
    where d.state in ('rejected', 'uncertain', 'exhausted') and d.destination = g.destination and d.state = g.state and d.reason = g.reason
      and coalesce(d.error_code, '') = g.error_code
    order by d.settled_at, d.event_no limit 1) oldest
 cross join lateral (
   select d.settled_at, d.event_no from conversion_outbox.delivery d
    where d.state in ('rejected', 'uncertain', 'exhausted') and d.destination = g.destination and d.state = g.state and d.reason = g.reason
      and coalesce(d.error_code, '') = g.error_code
    order by d.settled_at desc, d.event_no desc limit 1) newest
  left join conversion_outbox.event_log e on e.event_no = newest.event_no
 order by g.count desc, g.destination, g.state, g.reason, error_code
 limit $5
