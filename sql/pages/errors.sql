-- Answers by the hour that were not good, and all answers of a destination together (outcome is null).
-- $1 timestamptz since   $2 text destination, or null for all
select destination, hour, outcome, response_code, error_code, answers, duration_ms
  from conversion_outbox.answer_hour
 where hour >= $1 and ($2 is null or destination = $2) and outcome not in ('accepted', 'sent')
union all
select destination, null, null, null, null, sum(answers)::bigint, sum(duration_ms)::bigint
  from conversion_outbox.answer_hour
 where hour >= $1 and ($2 is null or destination = $2)
 group by destination
 order by 1, 3, 4, 5, 2
