-- Holds a destination: no worker sends to it until the credential changes, the probe succeeds, or a person resumes it. A
-- pause is a person's word and stays as it is.
-- $1 text name   $2 text reason   $3 text code   $4 text advice   $5 timestamptz next probe   $6 text credential fingerprint
update conversion_outbox.destination
   set hold_reason = $2, hold_code = $3, hold_advice = $4, held_since = coalesce(held_since, now()), probe_at = $5, hold_credential = $6
 where name = $1 and hold_reason is distinct from 'paused'
