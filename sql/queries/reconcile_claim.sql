-- $1 text entry   $2 float8 seconds between two runs   $3 float8 seconds of the lease   $4 timestamptz now
select conversion_outbox.claim_reconciliation($1, make_interval(secs => $2), make_interval(secs => $3), $4) as claimed
