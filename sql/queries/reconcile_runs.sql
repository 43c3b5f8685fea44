-- When each entry was last computed by a worker, and how that went.
select entry, began_at, ended_at, failed, coalesce(notes, '[]') as notes
  from conversion_outbox.reconciliation_run
 -- An entry that others were computed long after is configured no more.
 where began_at > (select max(began_at) from conversion_outbox.reconciliation_run) - interval '2 days'
 order by entry
