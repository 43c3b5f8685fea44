-- How many tries ended other than well, and how many there were, by destination and in time.
-- $1 timestamptz since
select destination, coalesce(sum(answers) filter (where outcome not in ('accepted', 'sent')), 0)::bigint as failed, sum(answers)::bigint as answers
  from conversion_outbox.answer_part where hour >= $1
 group by destination order by destination
