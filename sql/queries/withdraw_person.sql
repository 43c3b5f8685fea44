-- Records that a person took all consent back, so that it counts for what is written later of an older consent.
-- $1 text external_id
select conversion_outbox.withdraw_consent(external_id => $1) as waiting
