-- The platform answers again: it throttles no more.
-- $1 text name
update conversion_outbox.destination
   set throttled_until = null, throttles = 0, throttled_since = null
 where name = $1 and throttles > 0
