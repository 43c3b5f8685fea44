-- The destinations, for the choices of a form.
select name, platform from conversion_outbox.destination order by name
