-- Days of a time zone: their first moments and those of the days after them, by the database's own rules. A day that begins in an
-- hour which the zone has twice begins with the first of them; PostgreSQL alone would take the second.
-- $1 text IANA name   $2 date first   $3 date last
select day, begins_at, ends_at
  from (
    select d::date as day, f.first as begins_at, lead(f.first) over (order by d) as ends_at
      from generate_series($2::timestamp, $3::timestamp + interval '1 day', interval '1 day') d
     cross join lateral (select d at time zone $1 as told) t
     cross join lateral (
       select case when (t.told - interval '1 hour') at time zone $1 = d then t.told - interval '1 hour' else t.told end as first) f) b
 where ends_at is not null
 order by day
