-- Lifts a hold: the credential changed, or a probe was answered. Not a pause: a person made it, and a person ends it.
-- $1 text name
update conversion_outbox.destination
   set hold_reason = null, hold_code = null, hold_advice = null, held_since = null, probe_at = null, hold_credential = null
 where name = $1 and hold_reason is not null and hold_reason <> 'paused'
