-- Deliveries that wait for the probe of a rule need not wait any longer: a hold was lifted. Those of other rules go back.
-- $1 text destination   $2 timestamptz the time
update conversion_outbox.delivery
   set due_at = $2
 where destination = $1 and state = 'pending' and reason = 'rule_held' and due_at > $2 and lease_until is null
