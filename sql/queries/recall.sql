-- What was taken back by now of events that are about to be sent, and of those whose data they borrow.
-- $1 bigint[] event_no
select e.event_no, e.data_removed_by is not distinct from 'erasure' as is_erased, w.withdrawn, o.withdrawn as withdrawn_of_original
  from unnest($1::bigint[]) as asked (event_no)
  join conversion_outbox.event e using (event_no)
 cross join lateral conversion_outbox.withdrawn_signals(
         e.business_id, e.user_data ->> 'external_id', e.consent ->> 'given_at', e.recorded_at, e.person_withdrawals) w
  left join conversion_outbox.event original on original.event_id = e.depends_on
  left join lateral conversion_outbox.withdrawn_signals(
         original.business_id, original.user_data ->> 'external_id', original.consent ->> 'given_at', original.recorded_at, original.person_withdrawals) o on true
