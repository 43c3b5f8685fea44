-- The keys that entries of the suppression list were made with.
select key_id from conversion_outbox.suppression_key order by first_used_at
