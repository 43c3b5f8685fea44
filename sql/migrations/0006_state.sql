-- What stands now, cheap enough to ask every few seconds: the queue, the partial index of waiting deliveries and the
-- running totals are read, the history is not.
set local role conversion_outbox_owner;

create view conversion_outbox.destination_backlog as
  select n.name as destination, n.platform, n.enabled,
         n.hold_reason, n.hold_code, n.hold_advice, n.held_since, n.probe_at,
         coalesce(w.waiting, 0) + coalesce(f.fresh, 0) as pending,
         coalesce(w.retrying, 0) as retrying,
         coalesce(w.due, 0) + coalesce(f.fresh, 0) as due,
         least(w.oldest_due, f.oldest) as oldest_due_at,
         least(w.oldest, f.oldest) as oldest_recorded_at
    from conversion_outbox.destination n
    left join lateral (
      select count(*) as waiting,
             count(*) filter (where d.tries > 0) as retrying,
             count(*) filter (where d.due_at <= now()) as due,
             min(d.due_at) filter (where d.due_at <= now()) as oldest_due,
             min(e.recorded_at) as oldest
        from conversion_outbox.delivery d join conversion_outbox.event e using (event_no)
       where d.destination = n.name and d.state = 'pending') w on true
    left join lateral (
      select count(*) as fresh, min(e.recorded_at) as oldest
        from conversion_outbox.queue q join conversion_outbox.event e using (event_no)
       where n.name in (select l.name from conversion_outbox.live_destination l)
         and not exists (select from conversion_outbox.delivery d where d.event_no = q.event_no and d.destination = n.name)) f on true;
comment on view conversion_outbox.destination_backlog is 'Per destination: pending deliveries (queued events included), how many of them are due or were tried before, the oldest, and the hold if there is one.';

create view conversion_outbox.destination_total as
  select destination, state, sum(total)::bigint as total, sum(retried)::bigint as retried
    from conversion_outbox.delivery_total group by destination, state;
comment on view conversion_outbox.destination_total is 'Deliveries that entered each final state, per destination.';
