-- Who took consent back, and when.
select business_id, is_erasure, withdrawn_at from torture.withdrawal
