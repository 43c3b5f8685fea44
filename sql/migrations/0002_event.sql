-- What the application writes: one row per business event, in the transaction of the order or lead itself.
set local role conversion_outbox_owner;

create table conversion_outbox.event (
  event_no      bigint generated always as identity primary key,
  -- Ids are compared byte by byte: cheaper, and an index that outlives a change of the system's sorting rules.
  event_id      text collate "C" not null,
  event_name    text        not null,
  business_id   text collate "C" not null,
  occurred_at   timestamptz not null,
  recorded_at   timestamptz not null default clock_timestamp(),
  value         numeric,
  currency      text,
  consent       jsonb       not null,
  user_data     jsonb       not null default '{}',
  click_ids     jsonb       not null default '{}',
  properties    jsonb       not null default '{}',
  action_source text,
  page_url      text,
  source        text,
  depends_on    text,
  traceparent   text,
  tracestate    text,
  warnings      jsonb,

  constraint event_id_is_unique unique (event_id),
  constraint event_id_is_printable check (char_length(event_id) between 1 and 128 and event_id !~ '[[:cntrl:]]'),
  constraint event_name_is_snake_case check (event_name ~ '^[a-z][a-z0-9_]*$' and char_length(event_name) <= 40),
  constraint business_id_is_printable check (char_length(business_id) between 1 and 128 and business_id !~ '[[:cntrl:]]'),
  constraint occurred_at_is_a_time check (occurred_at between '0001-01-01 00:00+00' and '9999-12-31 00:00+00'),
  constraint value_and_currency_go_together check ((value is null) = (currency is null)),
  constraint value_is_an_amount check (value >= 0 and value < 1e18),
  constraint currency_is_three_letters check (currency ~ '^[A-Z]{3}$'),
  constraint consent_is_an_object check (jsonb_typeof(consent) = 'object'),
  constraint an_event_does_not_adjust_itself check (depends_on <> event_id)
);
create index event_of_business on conversion_outbox.event (business_id);

comment on table conversion_outbox.event is 'One row per business event, inserted by the application in its own transaction and never updated by the worker.';
comment on column conversion_outbox.event.event_no is 'Order of insertion; gaps are normal.';
comment on column conversion_outbox.event.event_id is 'Stable id, the same as the browser''s and on every retry; 1 to 128 printable characters. Derived from event_name and business_id when left out.';
comment on column conversion_outbox.event.event_name is 'lead_created, order_paid, order_refunded, ... or your own snake_case name of at most 40 characters.';
comment on column conversion_outbox.event.business_id is 'Order, payment, booking, lead or deal id.';
comment on column conversion_outbox.event.occurred_at is 'When the business action happened; now() when left out.';
comment on column conversion_outbox.event.recorded_at is 'When the row was written (statement clock; the commit comes a little later).';
comment on column conversion_outbox.event.value is 'Amount in currency, never negative; both or neither; never defaulted.';
comment on column conversion_outbox.event.currency is 'ISO 4217, upper case.';
comment on column conversion_outbox.event.consent is 'The four Consent Mode signals (granted, denied, unspecified) with given_at, source, version, legal_basis, region, gpc, tcf, gpp; or "decision": {platform or destination: [data kinds]}.';
comment on column conversion_outbox.event.user_data is 'email, phone (one or a list), first_name, last_name, street, city, region, postal_code, country, date_of_birth, gender, external_id, company, job_title, ip_address, user_agent; raw, or 64 hex characters where already hashed.';
comment on column conversion_outbox.event.click_ids is 'gclid, gbraid, wbraid, fbc, fbp, fbclid, li_fat_id, ttclid, ttp, msclkid, epik, sc_click_id, rdt_cid, ga_client_id, ga_session_id.';
comment on column conversion_outbox.event.properties is 'items, tax, shipping, coupon, lead_source, and anything that a route or mapping uses.';
comment on column conversion_outbox.event.depends_on is 'event_id of the event that this one adjusts, for example the purchase of a refund.';
comment on column conversion_outbox.event.traceparent is 'W3C trace context of the business transaction; a malformed one is dropped with a warning.';
comment on column conversion_outbox.event.warnings is 'Oddities in optional fields: [{"field", "rule"}], never a value. Null when there are none.';

-- One narrow row per event that is not finished. Only the primary key is indexed and half of each page is free,
-- so that taking a lease is a heap-only update.
create table conversion_outbox.queue (
  event_no    bigint primary key,
  claim_no    integer not null default 0,
  lease_until timestamptz
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000
);
comment on table conversion_outbox.queue is 'Events that still lack a delivery for some destination. Leased by a worker, deleted when every destination has its delivery row.';
comment on column conversion_outbox.queue.claim_no is 'Grows with every claim and never shrinks; a worker that holds an older number may settle nothing.';
comment on column conversion_outbox.queue.lease_until is 'The event is one worker''s until then; null when nobody holds it.';

-- How often an event came again, and whether its business content had changed. The first one stands.
create table conversion_outbox.repeat (
  event_id      text collate "C" primary key,
  duplicates    bigint      not null default 0,
  conflicts     bigint      not null default 0,
  differs       text[]      not null default '{}',
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at  timestamptz not null default clock_timestamp(),

  constraint a_repeat_was_counted check (duplicates + conflicts > 0),
  constraint a_conflict_names_its_columns check ((conflicts > 0) = (differs <> '{}'))
);
comment on table conversion_outbox.repeat is 'Events that were inserted again. duplicates: same business content; conflicts: other content, which was not taken.';
comment on column conversion_outbox.repeat.differs is 'Names of the columns that differed in some conflict; never their values.';
