-- Events of which a repeat came during a day, and how many of them came with other content.
-- $1 timestamptz start of the day
select count(*) as repeated, count(*) filter (where conflicts > 0) as with_conflict,
       (array_agg(event_id order by last_seen_at desc) filter (where conflicts > 0))[1:5] as conflicting
  from conversion_outbox.repeat
 where last_seen_at >= $1 and last_seen_at < $1 + interval '1 day'
