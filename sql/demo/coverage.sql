-- How many events carried what platforms match by, and consent.
select count(*) as events,
       count(*) filter (where click_ids <> '{}') as click_id,
       count(*) filter (where user_data ? 'email') as email,
       count(*) filter (where consent ->> 'ad_user_data' = 'granted') as consent
  from conversion_outbox.event
