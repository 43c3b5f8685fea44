-- Everything that is known of one event, without anything of the person.
-- $1 text event_id
select conversion_outbox.event_life($1) as life
