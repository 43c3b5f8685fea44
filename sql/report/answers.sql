-- Tries of a day by how they ended, and how many ended the same way on the day before.
-- $1 timestamptz start of the day
select destination, outcome, response_code, error_code,
       coalesce(sum(answers) filter (where hour >= $1), 0)::bigint as answers,
       coalesce(sum(answers) filter (where hour < $1), 0)::bigint as day_before
  from conversion_outbox.answer_hour
 where hour >= $1 - interval '1 day' and hour < $1 + interval '1 day'
 group by destination, outcome, response_code, error_code
 order by destination, answers desc, outcome, response_code, error_code
