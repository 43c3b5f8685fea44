-- Row versions that became garbage since the statistics were reset: every update and every delete leaves one.
select sum(n_tup_upd + n_tup_del)::bigint as died, sum(n_tup_hot_upd)::bigint as hot, sum(n_tup_upd)::bigint as updated
  from pg_stat_user_tables where schemaname = 'conversion_outbox'
