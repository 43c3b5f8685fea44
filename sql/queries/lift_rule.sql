-- Lifts the hold of one conversion action or rule: a probe was answered. Not a pause.
-- $1 text destination   $2 text rule
delete from conversion_outbox.rule_hold where destination = $1 and rule = $2 and reason <> 'paused'
