-- What is not final yet at each destination that is asked about, for metrics. Reads the queue, the waiting deliveries and the small
-- tables of destinations and held rules; what is settled is not read, however much of it there is.
-- Each delivery counts in one of: due, retrying, waiting, leased, held.
-- $1 text[]       destinations
-- $2 float8[]     how old an event may be there, seconds
-- $3 float8[]     the same for an event of action_source physical_store
-- $4 timestamptz  the time, or null for the database's own clock
with clock as materialized (
  select coalesce($4, now()) as now
),
asked as materialized (
  select n.name, n.hold_reason, n.hold_reason is not null as is_held, a.age_max, a.age_max_store,
         n.name in (select l.name from conversion_outbox.live_destination l) as is_live
    from unnest($1::text[], $2::float8[], $3::float8[]) as a (name, age_max, age_max_store)
    join conversion_outbox.destination n using (name)
),
-- Nobody has claimed these, so they have no delivery anywhere: one pass, whatever the number of destinations.
untouched as materialized (
  select count(*) as events, min(event_no) as first_no from conversion_outbox.queue where claim_no = 0
),
-- Under lease, set aside or given back: a few thousand at most.
touched as materialized (
  select q.event_no, q.set_aside, q.lease_until > clock.now as is_ahead
    from conversion_outbox.queue q, clock where q.claim_no > 0
),
-- The oldest of the queue: there is what ends first. A longer queue is not looked through. One probe an event (offset 0), or a
-- long queue would be reason enough to read the whole event table.
oldest as materialized (
  select q.event_no, q.claim_no, e.occurred_at, e.action_source
    from (select event_no, claim_no from conversion_outbox.queue order by event_no limit 20000) q
   cross join lateral (
     select w.occurred_at, w.action_source from conversion_outbox.event w where w.event_no = q.event_no offset 0) e
)
select a.name as destination, a.hold_reason,
       w.retrying, w.leased + t.leased as leased, w.held + case when a.is_held then u.events + t.due + t.waiting else 0 end as held,
       w.due + case when a.is_held then 0 else u.events + t.due end as due,
       w.waiting + case when a.is_held then 0 else t.waiting end as waiting,
       least(w.oldest_due_at, f.recorded_at) as oldest_due_at,
       least(w.oldest_recorded_at, f.recorded_at) as oldest_recorded_at,
       w.expiring + x.expiring as expiring,
       (select count(*) from conversion_outbox.rule_hold h where h.destination = a.name) as held_rules,
       (select e.recorded_at from conversion_outbox.event e order by e.event_no desc limit 1) as newest_recorded_at
  from asked a
 cross join clock
 cross join lateral (
   select count(*) filter (where p.kind = 'leased') as leased, count(*) filter (where p.kind = 'held') as held,
          count(*) filter (where p.kind = 'retry') as retrying, count(*) filter (where p.kind = 'due') as due,
          count(*) filter (where p.kind = 'waiting') as waiting,
          min(p.due_at) filter (where p.due_at <= clock.now) as oldest_due_at,
          -- Numbers are given in the order of insertion.
          (select e.recorded_at from conversion_outbox.event e where e.event_no = min(p.event_no)) as oldest_recorded_at,
          count(*) filter (where p.expires_at < clock.now + interval '24 hours') as expiring
     from (
       select d.event_no, d.due_at, d.expires_at,
              case when d.lease_until > clock.now then 'leased'
                   when a.is_held or d.reason = 'rule_held' then 'held'
                   when d.tries > 0 then 'retry'
                   when d.due_at <= clock.now then 'due'
                   else 'waiting' end as kind
         from conversion_outbox.delivery d
        where d.destination = a.name and d.state = 'pending') p) w
 cross join lateral (
   select case when a.is_live then u.events else 0 end as events, case when a.is_live then u.first_no end as first_no from untouched u) u
 cross join lateral (
   select count(*) filter (where q.is_ahead and not q.set_aside) as leased,
          count(*) filter (where q.is_ahead and q.set_aside) as waiting,
          count(*) filter (where q.is_ahead is not true) as due, min(q.event_no) as first_no
     from touched q
    where a.is_live
      and not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = a.name)) t
  left join lateral (
   select e.recorded_at from conversion_outbox.event e where e.event_no = least(u.first_no, t.first_no)) f on true
 cross join lateral (
   select count(*) as expiring
     from oldest o
    where a.is_live
      and o.occurred_at < clock.now + interval '24 hours'
                        - make_interval(secs => case o.action_source when 'physical_store' then a.age_max_store else a.age_max end)
      and (o.claim_no = 0 or not exists (
            select from conversion_outbox.delivery d where d.event_no = o.event_no and d.destination = a.name))) x
