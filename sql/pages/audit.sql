-- What was done by hand: one row of the audit. Only its owner's words and counts, never a person's data.
-- $1 bigint number
select audit_no, done_at, login, action, reason, details from conversion_outbox.audit where audit_no = $1
