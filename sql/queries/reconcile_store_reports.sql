-- $1 jsonb rows of platform_report
select conversion_outbox.store_platform_reports($1) as stored
