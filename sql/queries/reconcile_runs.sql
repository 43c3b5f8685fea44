-- When each entry was last computed by a worker, and how that went.
select entry, began_at, ended_at, failed, coalesce(notes, '[]') as notes
  from conversion_outbox.reconciliation_run
 order by entry
