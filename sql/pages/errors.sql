-- Answers that were not good, by hour or by day, and all answers of a destination together (outcome is null).
-- $1 timestamptz since   $2 text destination, or null for all   $3 text hour or day
select destination, outcome, nullif(response_code, 0) as response_code, nullif(error_code, '') as error_code, part_of as since, max(hour) as last,
       sum(answers)::bigint as answers
  from (
    select *, date_trunc($3, hour, 'UTC') as part_of from conversion_outbox.answer_part
     where hour >= $1 and ($2 is null or destination = $2)) a
 group by grouping sets ((destination, outcome, response_code, error_code, part_of), (destination))
having grouping(outcome) = 1 or (outcome not in ('accepted', 'sent') and sum(answers) <> 0)
 order by 1, 2, 3, 4, 5
