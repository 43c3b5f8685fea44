-- Every event at every destination, with its tries.
select l.event_id, l.destination, l.state, l.reason, l.error_code, l.attempts, l.settled_at,
       coalesce((select jsonb_agg(jsonb_build_object('outcome', a.outcome, 'code', a.error_code, 'counted', a.counted,
                         'at', a.tried_at, 'hash', encode(a.payload_hash, 'hex')) order by a.try_no)
                   from conversion_outbox.delivery_attempt a
                  where a.event_no = l.event_no and a.destination = l.destination), '[]') as tries
  from conversion_outbox.delivery_log l
