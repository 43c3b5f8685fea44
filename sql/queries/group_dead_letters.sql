-- Dead letters in groups, the largest first.
-- $1 text destination, or null for all
select g.destination, g.platform, g.state, g.reason, g.error_code, g.deliveries, g.oldest_at, g.newest_at,
       (select e.event_id from conversion_outbox.event e where e.event_no = g.sample_event_no) as sample_event_id
  from conversion_outbox.dead_letter_group g
 where $1::text is null or g.destination = $1
 order by g.deliveries desc, g.destination, g.reason, g.error_code
