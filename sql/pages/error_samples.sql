-- The latest three events of each kind of error. Looks only at the newest tries, dead letters and waiting deliveries, through
-- their indexes: what is not among them has no sample here.
-- $1 timestamptz since   $2 text destination, or null for all
with looked_at as (
  (select destination, event_no, outcome, response_code, error_code, tried_at
     from conversion_outbox.attempt order by event_no desc, destination desc, try_no desc limit 500)
  union
  select d.destination, d.event_no, null, d.response_code, d.error_code, d.tried_at
    from conversion_outbox.destination n
   cross join (values ('refused_by_platform'), ('invalid_payload'), ('invalid_event'), ('payload_changed'), ('defect'), ('no_answer'),
                      ('count_mismatch'), ('repeat_window_over'), ('attempts_used_up'), ('age_used_up')) as r (reason)
   cross join lateral (
     select * from conversion_outbox.delivery l
      where l.destination = n.name and l.reason = r.reason and l.state in ('rejected', 'uncertain', 'exhausted')
      order by l.event_no desc limit 20) d
  union
  select d.destination, d.event_no, null, d.response_code, d.error_code, d.tried_at
    from conversion_outbox.destination n
   cross join lateral (
     select * from conversion_outbox.delivery l
      where l.destination = n.name and l.state = 'pending' order by l.due_at limit 100) d
   where d.tried_at is not null),
numbered as (
  select destination, event_no, response_code, error_code,
         row_number() over (partition by destination, response_code, error_code order by max(tried_at) desc, event_no desc) as place
    from looked_at
   where tried_at >= $1 and ($2 is null or destination = $2) and outcome is distinct from 'accepted' and outcome is distinct from 'sent'
   group by destination, event_no, response_code, error_code)
select n.destination, n.response_code, n.error_code, e.event_id, e.event_name
  from numbered n join conversion_outbox.event_log e using (event_no)
 where n.place <= 3
 order by n.destination, n.response_code, n.error_code, n.place
