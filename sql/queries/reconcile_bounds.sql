-- Days of a time zone: their first moments and those of the days after them, by the database's own rules.
-- $1 text IANA name   $2 date first   $3 date last
select d::date as day, d at time zone $1 as begins_at, (d + interval '1 day') at time zone $1 as ends_at
  from generate_series($2::timestamp, $3::timestamp, interval '1 day') d
 order by d
