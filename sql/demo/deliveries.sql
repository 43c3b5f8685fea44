-- The state of every event at every destination, as the outbox tells it.
select event_id, destination, state from conversion_outbox.delivery_log
