-- What the server is, who asks, and how many connections it has room for. From catalogs that anybody may read.
select current_setting('server_version') as version, current_user::text as login, clock_timestamp() as now,
  current_setting('max_connections')::integer as connections_max,
  current_setting('superuser_reserved_connections')::integer
    + coalesce(current_setting('reserved_connections', true)::integer, 0) as reserved,
  (select coalesce(sum(numbackends), 0)::bigint from pg_stat_database) as connected,
  (select rolconnlimit from pg_roles where rolname = current_user) as login_max,
  (select s.version from pg_stat_ssl s where s.pid = pg_backend_pid() and s.ssl) as tls
