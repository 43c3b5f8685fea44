-- Retention, suppression and proof.
set local role conversion_outbox_owner;
