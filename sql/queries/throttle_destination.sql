-- The platform says that it is asked too often: every worker leaves it alone. The longest quiet time counts.
-- $1 text name   $2 timestamptz until   $3 integer how often in a row   $4 timestamptz since when
update conversion_outbox.destination
   set throttled_until = greatest(throttled_until, $2), throttles = greatest(throttles, $3),
       throttled_since = least(throttled_since, $4)
 where name = $1
