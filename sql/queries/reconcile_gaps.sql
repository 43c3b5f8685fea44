-- What is missing, extra or different on one day of an entry, in the order of finding.
-- $1 text entry   $2 date day   $3 text destination; null for all, '' for the outbox itself   $4 bigint how many at most   $5 bigint how many to pass over
select to_jsonb(g) as gap
  from conversion_outbox.reconciliation_gap g
 where g.entry = $1 and g.day = $2 and ($3 is null or coalesce(g.destination, '') = $3)
 order by g.gap_no
 limit $4 offset $5
