-- Where the running totals and the tallies differ from the rows.
select coalesce(t.destination, d.destination) as destination, coalesce(t.state, d.state) as state,
       coalesce(t.total, 0)::bigint as counted, coalesce(d.there, 0)::bigint as there
  from conversion_outbox.destination_total t
  full join (select destination, state, count(*) as there from conversion_outbox.delivery where state <> 'pending' group by 1, 2) d
       on d.destination = t.destination and d.state = t.state
 where coalesce(t.total, 0) <> coalesce(d.there, 0)
union all
select destination, concat_ws(' ', 'tally of', day, event_name, state, reason), sum(counted)::bigint, sum(there)::bigint
  from (
    select day, destination, event_name, state, reason, deliveries + retried + in_time as counted, 0 as there from conversion_outbox.delivery_day
    union all
    select day, destination, event_name, state, nullif(reason, ''), 0, deliveries + retried + in_time from conversion_outbox.counted_delivery) t
 group by day, destination, event_name, state, reason
having sum(counted) <> sum(there)
union all
select destination, concat_ws(' ', 'tally of answers', hour, outcome, response_code, error_code), sum(counted)::bigint, sum(there)::bigint
  from (
    select hour, destination, outcome, response_code, error_code, answers as counted, 0 as there from conversion_outbox.answer_hour
    union all
    select hour, destination, outcome, nullif(response_code, 0), nullif(error_code, ''), 0, answers from conversion_outbox.counted_answer) t
 group by hour, destination, outcome, response_code, error_code
having sum(counted) <> sum(there)
