-- Deliveries that entered each final state, per destination.
select t.destination, n.platform, t.state, t.total, t.retried
  from conversion_outbox.destination_total t join conversion_outbox.destination n on n.name = t.destination
 order by t.destination, t.state
