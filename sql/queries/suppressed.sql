-- Which of these digests are on the suppression list.
-- $1 bytea[] subjects
select subject, scope from conversion_outbox.suppression where subject = any($1)
