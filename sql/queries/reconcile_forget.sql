-- $1 text entry   $2 text event name   $3 date before which lists of ids go
select conversion_outbox.forget_gaps($1, $2, $3) as gone
