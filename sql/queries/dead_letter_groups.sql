-- Dead letters by what they died of, the most frequent first. Reads the dead letters and nothing else.
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code, '' for none   $5 text event_name   $6 text[] event ids
-- $7 timestamptz settled since   $8 timestamptz settled before   $9 bigint how many groups at most
select g.destination, g.state, g.reason, g.error_code, g.count, g.oldest, g.newest, e.event_id as sample
  from (select d.destination, d.state, d.reason, d.error_code, count(*) as count,
               min(d.settled_at) as oldest, max(d.settled_at) as newest, max(d.event_no) as sample_no
          from conversion_outbox.delivery d
         where d.state in ('rejected', 'uncertain', 'exhausted')
           and ($1 is null or d.destination = $1) and ($2 is null or d.state = $2) and ($3 is null or d.reason = $3)
           and ($4 is null or coalesce(d.error_code, '') = $4)
           and ($5 is null and $6::text[] is null or exists (
                 select from conversion_outbox.event_log l
                  where l.event_no = d.event_no and ($5 is null or l.event_name = $5) and ($6 is null or l.event_id = any ($6))))
           and d.settled_at >= coalesce($7, '-infinity') and d.settled_at < coalesce($8, 'infinity')
         group by 1, 2, 3, 4) g
  left join conversion_outbox.event_log e on e.event_no = g.sample_no
 order by g.count desc, g.destination, g.state, g.reason, g.error_code
 limit $9
