-- $1 text entry   $2 text why it failed, or null   $3 jsonb what it could not do though it went on   $4 timestamptz now
select conversion_outbox.finish_reconciliation($1, $2, $3, $4)
