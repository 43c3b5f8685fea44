-- Who may do what. Functions are executable by nobody unless it is said here.
set local role conversion_outbox_owner;

revoke all on all functions in schema conversion_outbox from public;
revoke all on all tables in schema conversion_outbox from public;

-- The application writes events, through plain sql or enqueue(), and reads nothing but their state.
grant insert (event_id, event_name, business_id, occurred_at, value, currency, consent, user_data, click_ids, properties,
              action_source, page_url, source, depends_on, traceparent, tracestate)
  on conversion_outbox.event to conversion_outbox_app;
-- "on conflict (event_id) do nothing" and "returning event_id" need to see that one column.
grant select (event_id) on conversion_outbox.event to conversion_outbox_app;
grant execute on function conversion_outbox.enqueue to conversion_outbox_app;
grant execute on function conversion_outbox.delivery_status to conversion_outbox_app, conversion_outbox_operator;
grant execute on function conversion_outbox.event_deliveries to conversion_outbox_app, conversion_outbox_operator;
grant execute on function conversion_outbox.withdraw_consent to conversion_outbox_app, conversion_outbox_privacy;
grant execute on function conversion_outbox.erase_subject to conversion_outbox_privacy;
grant execute on function conversion_outbox.resume_destination to conversion_outbox_operator;

-- Views call it with the rights of whoever reads them.
grant execute on function conversion_outbox.permit_words
  to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;

-- The worker reads events and writes what became of them. It deletes queue rows only: history is not its to remove.
grant select on conversion_outbox.event, conversion_outbox.withdrawal, conversion_outbox.repeat to conversion_outbox_worker;
grant select, update, delete on conversion_outbox.queue to conversion_outbox_worker;
grant select, insert, update on conversion_outbox.delivery, conversion_outbox.delivery_total, conversion_outbox.destination
  to conversion_outbox_worker;
grant select, insert on conversion_outbox.attempt to conversion_outbox_worker;
grant execute on function conversion_outbox.time_or_null, conversion_outbox.withdrawn_signals, conversion_outbox.original_of
  to conversion_outbox_worker;
grant select on conversion_outbox.live_destination, conversion_outbox.delivery_log, conversion_outbox.delivery_attempt, conversion_outbox.destination_backlog,
  conversion_outbox.destination_total to conversion_outbox_worker, conversion_outbox_reader, conversion_outbox_operator;
grant select on conversion_outbox.repeat, conversion_outbox.destination, conversion_outbox.delivery, conversion_outbox.attempt,
  conversion_outbox.delivery_total to conversion_outbox_reader, conversion_outbox_operator;
