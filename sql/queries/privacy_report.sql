-- Counts of what was written in a time.
-- $1 timestamptz from   $2 timestamptz to, itself not included
select conversion_outbox.privacy_report($1, $2) as report
