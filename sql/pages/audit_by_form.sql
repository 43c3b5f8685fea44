-- What the form with this reason did, if it did something; its reason holds the form's own key. Old rows are not looked at.
-- $1 text action   $2 text reason
select a.audit_no from conversion_outbox.audit a
 where a.audit_no > (select coalesce(max(audit_no), 0) - 10000 from conversion_outbox.audit)
   and a.action = $1 and a.reason = $2 and a.login = session_user
 order by a.audit_no desc
 limit 1
