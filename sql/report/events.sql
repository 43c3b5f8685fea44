-- Events of a day and of the week before it, by name: how many, and what they carried.
-- $1 date the first day   $2 date the last day
select day, event_name, events, click_id, email, phone, external_id, consent_granted, consent_denied, consent_unspecified
  from conversion_outbox.event_day where day between $1 and $2
 order by event_name, day
