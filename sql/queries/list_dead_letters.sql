-- Dead letters, newest first.
-- Each of these may be null, and then asks for nothing:
-- $1 text destination   $2 text state   $3 text reason   $4 text error_code   $5 text event_name
-- $6 timestamptz settled since   $7 timestamptz settled before   $8 text[] event ids
-- $9 bigint how many at most
select e.event_id, e.event_name, e.business_id, d.destination, d.state, d.reason, d.error_code, d.response_code, d.tries,
       d.tried_at, d.settled_at, d.first_tried_at as in_doubt_since
  from conversion_outbox.delivery d
  join conversion_outbox.event e using (event_no)
 where d.state in ('rejected', 'uncertain', 'exhausted')
   and ($1::text is null or d.destination = $1) and ($2::text is null or d.state = $2) and ($3::text is null or d.reason = $3)
   and ($4::text is null or d.error_code = $4) and ($5::text is null or e.event_name = $5)
   and ($6::timestamptz is null or d.settled_at >= $6) and ($7::timestamptz is null or d.settled_at < $7)
   and ($8::text[] is null or e.event_id = any ($8))
 order by d.settled_at desc, d.event_no desc, d.destination
 limit $9
