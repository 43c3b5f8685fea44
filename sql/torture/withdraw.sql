-- Consent is taken back, or the person erased; the application notes when.
-- $1 text business_id   $2 boolean whether the person is erased
with noted as (
  insert into torture.withdrawal (business_id, is_erasure) values ($1, $2))
select case when $2 then conversion_outbox.erase_subject(business_ids => array[$1])
            else to_jsonb(conversion_outbox.withdraw_consent(business_id => $1)) end
