-- One event's whole life.
-- $1 text event_id
select conversion_outbox.event_life($1) as life
