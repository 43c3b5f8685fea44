-- Every destination, whether it or one of its conversion actions or rules is held now, and whether it has dead letters.
select d.name, d.hold_reason is not null or exists (select from conversion_outbox.rule_hold r where r.destination = d.name) as is_held,
       (select coalesce(sum(p.deliveries), 0) from conversion_outbox.delivery_part p
         where p.destination = d.name and p.state in ('rejected', 'uncertain', 'exhausted')) > 0 as has_dead
  from conversion_outbox.destination d
 order by d.name
