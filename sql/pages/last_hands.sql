-- Who paused or resumed each destination last, or a rule of it, and why. Old rows are not looked at.
select distinct on (destination) details ->> 'destination' as destination, details ->> 'rule' as rule, audit_no, done_at, login, action, reason
  from conversion_outbox.audit
 where action in ('pause', 'resume') and audit_no > (select coalesce(max(audit_no), 0) - 10000 from conversion_outbox.audit)
 order by destination, audit_no desc
