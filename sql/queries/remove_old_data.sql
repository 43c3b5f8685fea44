-- One batch of retention. No row while another session does it.
-- $1 float8 grace, seconds   $2 float8 grace of dead letters, seconds   $3 integer how many events at most
-- $4 timestamptz the time, or null for the database's own clock
-- $5 bigint null; or, to change nothing, 0 at first and then looked_to of the batch before
select r.looked, r.removed, r.looked_to,
       greatest(extract(epoch from coalesce($4, now()) - r.oldest_due), 0)::float8 as overdue
  from conversion_outbox.remove_old_data(make_interval(secs => $1), make_interval(secs => $2), $3, $4, $5) r
