-- What is not final yet, and a fingerprint of it: while it changes, there is progress.
select (select count(*) from conversion_outbox.queue)
     + (select count(*) from conversion_outbox.delivery where state = 'pending')
     + (select count(*) from conversion_outbox.request where settled_at is null) as open,
       concat_ws(' ', (select sum(claim_no) from conversion_outbox.queue),
         (select sum(tries) || ' ' || count(*) from conversion_outbox.delivery),
         (select sum(asked) || ' ' || count(*) from conversion_outbox.request)) as progress
