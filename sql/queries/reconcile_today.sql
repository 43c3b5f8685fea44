-- $1 text IANA name   $2 timestamptz now
select ($2 at time zone $1)::date as today
