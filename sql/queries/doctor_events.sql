-- The names of the latest events, for those that no destination takes. Not of all: nobody reads a large table for that.
-- $1 integer how many events
select distinct event_name from (
  select event_name from conversion_outbox.event order by event_no desc limit $1) latest
order by event_name
