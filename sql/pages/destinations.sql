-- What of each destination neither its status nor its holds tell: throttling, its limit of requests, its consent policy, and
-- the requests that the platform has not answered for yet. A limit that was never used has no time that others can read.
-- $1 text[] destinations   $2 text[] the limit that each of them keeps
select d.name, d.throttled_until, d.throttles, case when l.next_at is not null then greatest(l.next_at, '2000-01-01 00:00:00+00') end as next_at, p.version as policy_version, p.first_seen_at as policy_since,
       o.open_requests, o.oldest_request_at
  from conversion_outbox.destination d
  left join unnest($1::text[], $2::text[]) as c (name, limit_name) on c.name = d.name
  left join conversion_outbox.rate_limit l on l.name = c.limit_name
  left join lateral (
    select version, first_seen_at from conversion_outbox.policy where destination = d.name order by last_seen_at desc, first_seen_at desc limit 1) p on true
  left join lateral (
    select count(*) as open_requests, min(sent_at) as oldest_request_at
      from conversion_outbox.request where destination = d.name and settled_at is null) o on true
 order by d.name
