-- $1 text entry   $2 date before which lists of ids go
select conversion_outbox.forget_gaps($1, $2) as gone
