-- The difference against the source of truth.
set local role conversion_outbox_owner;
