-- Which of these ids are of no event, each with ids that may have been meant: of the events of that business id, and of the
-- neighbours in the index.
-- $1 text[] event ids
select w.event_id,
       array(select e.event_id from conversion_outbox.event_log e where e.business_id = w.event_id order by e.event_no desc limit 3) as of_business,
       array(select n.event_id from (
               (select e.event_id from conversion_outbox.event_log e where e.event_id < w.event_id order by e.event_id desc limit 3)
               union all
               (select e.event_id from conversion_outbox.event_log e where e.event_id > w.event_id order by e.event_id limit 3)) n) as neighbours
  from unnest($1::text[]) with ordinality as w (event_id, place)
 where not exists (select from conversion_outbox.event_log e where e.event_id = w.event_id)
 order by w.place
