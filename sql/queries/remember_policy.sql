-- Says that a worker decides by this policy, for the proof of what it decides.
-- $1 text destination   $2 text version   $3 jsonb policy
insert into conversion_outbox.policy as p (destination, version, policy) values ($1, $2, $3)
on conflict (destination, version) do update set last_seen_at = now()
