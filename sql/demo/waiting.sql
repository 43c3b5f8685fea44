-- What still waits, for the message of a demo that does not come to its end.
select destination, coalesce(reason, 'queued') as reason, event_name, count(*) as deliveries, max(tries) as tries
  from conversion_outbox.delivery_log
 where state = 'pending'
 group by 1, 2, 3
 order by 4 desc
 limit 10
