-- The roles of conversion_outbox. Roles belong to the whole cluster, so another database may have made them already.
-- All are nologin: grant them to the logins of your application, worker and dashboards.
do $$
declare
  wanted text;
begin
  foreach wanted in array array[
    'conversion_outbox_owner',     -- owns the schema and runs migrations
    'conversion_outbox_app',       -- the application: writes events, asks for their state, nothing else
    'conversion_outbox_worker',    -- the worker: reads events, writes deliveries; no ddl
    'conversion_outbox_reader',    -- dashboards: views without personal data
    'conversion_outbox_operator',  -- people who resume destinations and replay deliveries
    'conversion_outbox_privacy'    -- withdraws consent and erases subjects
  ] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception when duplicate_object or unique_violation then
        null; -- another database's migration made it in the same moment
      end;
    end if;
  end loop;
  -- Since PostgreSQL 16 the maker of a role is a member that may not act as it.
  if not pg_has_role(current_user, 'conversion_outbox_owner',
                     case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end) then
    execute format('grant conversion_outbox_owner to %I', current_user);
  end if;
exception when insufficient_privilege then
  raise exception using
    errcode = 'insufficient_privilege',
    message = 'conversion_outbox: this login may not create roles',
    hint = 'Run the migration once as a superuser or a login with createrole, or create the six roles of sql/migrations/0001_roles.sql yourself and grant conversion_outbox_owner to this login.';
end
$$;

create schema conversion_outbox authorization conversion_outbox_owner;
comment on schema conversion_outbox is 'Outbox of business events for advertising and analytics platforms. Applications insert into event; the worker does the rest.';
revoke all on schema conversion_outbox from public;
grant usage on schema conversion_outbox to
  conversion_outbox_app, conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator, conversion_outbox_privacy;
