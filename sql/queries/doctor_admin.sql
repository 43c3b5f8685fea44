-- What the login of the admin listener may do: look, and what an operator does. A role that is not there helps nobody.
select current_user::text as login,
       coalesce(bool_or(pg_has_role(oid, 'usage')) filter (where rolname in ('conversion_outbox_reader', 'conversion_outbox_worker')), false) as may_look,
       coalesce(bool_or(pg_has_role(oid, 'usage')) filter (where rolname = 'conversion_outbox_operator'), false) as may_act
  from pg_roles
 where rolname in ('conversion_outbox_reader', 'conversion_outbox_worker', 'conversion_outbox_operator')
