-- Events that were written again, unchanged and changed.
select coalesce(sum(duplicates), 0)::bigint as duplicates, coalesce(sum(conflicts), 0)::bigint as conflicts from conversion_outbox.repeat
