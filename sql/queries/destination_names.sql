-- The names of all destinations that a worker ever registered.
select name from conversion_outbox.destination order by name
