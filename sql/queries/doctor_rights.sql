-- What this login may not do and the worker must (missing), and what it may do and the worker never does (excess), a line
-- each. By oid, so that what does not exist, or lies in a schema that may not be used, is no error.
with relation as (
  select c.oid, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = 'conversion_outbox'),
needed (name, privileges) as (values
  ('schema_migration', 'select'), ('event', 'select'), ('withdrawal', 'select'), ('repeat', 'select'),
  ('queue', 'select, update, delete'), ('delivery', 'select, insert, update'), ('delivery_total', 'select, insert, update'),
  ('destination', 'select, insert, update'), ('attempt', 'select, insert'), ('request', 'select, insert, update'),
  ('rule_hold', 'select, insert, update, delete'), ('rate_limit', 'select, insert, update'), ('live_destination', 'select'), ('delivery_log', 'select'),
  ('delivery_attempt', 'select'), ('destination_backlog', 'select'), ('destination_total', 'select'), ('request_log', 'select'),
  ('suppression', 'select'), ('suppression_key', 'select'), ('policy', 'select, insert, update'),
  ('event_day', 'select'), ('delivery_day', 'select'), ('answer_hour', 'select'), ('delivery_part', 'select'), ('answer_part', 'select'), ('queued_day', 'select'), ('event_log', 'select'),
  ('platform_report', 'select'), ('reconciliation_run', 'select'), ('reconciliation_day', 'select'),
  ('reconciliation_destination', 'select'), ('reconciliation_gap', 'select'), ('reconciliation_event', 'select')),
needed_function (name) as (values
  ('permit_words'), ('time_or_null'), ('withdrawn_signals'), ('original_of'), ('standings_of'), ('reversals_of'), ('remove_old_data'),
  ('fold_tallies'), ('take_repeats'), ('day_of'), ('event_signals'),
  ('claim_reconciliation'), ('finish_reconciliation'), ('store_reconciliation'), ('store_platform_reports'), ('forget_gaps')),
never (name, privileges) as (values
  ('event', 'update, delete, truncate'), ('delivery', 'delete, truncate'), ('attempt', 'update, delete, truncate'),
  ('withdrawal', 'update, delete, truncate'), ('delivery_total', 'delete, truncate'), ('destination', 'delete, truncate'),
  ('queue', 'truncate'), ('suppression', 'insert, update, delete, truncate'), ('policy', 'delete, truncate')),
schema as (select oid from pg_namespace where nspname = 'conversion_outbox'),
login as (select rolsuper from pg_roles where rolname = current_user)
select 'missing' as kind, 'usage on the schema' as what
 where not (select has_schema_privilege(oid, 'usage') from schema)
union all
select 'missing', p || ' on ' || n.name
  from needed n cross join regexp_split_to_table(n.privileges, ', ') p left join relation r on r.name = n.name
 where not coalesce(has_table_privilege(r.oid, p), false)
union all
select 'missing', 'execute on ' || n.name
  from needed_function n
 where not exists (select from pg_proc f, schema where f.pronamespace = schema.oid and f.proname = n.name
                      and has_function_privilege(f.oid, 'execute'))
union all
select 'excess', 'everything: it is a superuser' from login where rolsuper
union all
select 'excess', what from (
  select 'act as conversion_outbox_owner' as what
   where exists (select from pg_roles where rolname = 'conversion_outbox_owner'
                    and pg_has_role(current_user, oid, 'member'))
  union all
  select 'create in the schema' from schema where has_schema_privilege(oid, 'create')
  union all
  select p || ' on ' || n.name
    from never n cross join regexp_split_to_table(n.privileges, ', ') p join relation r on r.name = n.name
   where has_table_privilege(r.oid, p)) often
 where not (select rolsuper from login)
order by kind, what
