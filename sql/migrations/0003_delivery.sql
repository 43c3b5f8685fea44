-- What became of every event at every destination.
set local role conversion_outbox_owner;

create table conversion_outbox.destination (
  name             text collate "C" primary key,
  platform         text        not null,
  enabled          boolean     not null default true,
  registered_at    timestamptz not null default now(),
  last_seen_at     timestamptz not null default now(),
  hold_reason      text,
  hold_code        text,
  hold_advice      text,
  held_since       timestamptz,
  probe_at         timestamptz,
  hold_credential  text,

  constraint a_hold_is_whole check (
    (hold_reason is null) = (held_since is null)
    and (hold_reason is null) = (probe_at is null)
    and (hold_reason is not null or (hold_code is null and hold_advice is null and hold_credential is null)))
);
comment on table conversion_outbox.destination is 'The destinations that workers are configured for, and which of them are held until a person or a new credential helps.';
comment on column conversion_outbox.destination.last_seen_at is 'When a worker that is configured for it last said so; every 15 seconds.';
comment on column conversion_outbox.destination.hold_reason is 'Why nothing is sent; null when the destination works.';
comment on column conversion_outbox.destination.hold_code is 'The platform''s own error code.';
comment on column conversion_outbox.destination.probe_at is 'When one request may try again, in case the platform''s side was mended.';
comment on column conversion_outbox.destination.hold_credential is 'Keyed fingerprint of the credential that was refused: another one lifts the hold at once.';

-- Workers may differ for a while, in a rolling deployment: what some running worker serves must get every event. Seen is
-- measured against the latest sign of any worker, so that nothing disappears while none of them runs.
create view conversion_outbox.live_destination as
  select name, platform
    from conversion_outbox.destination
   where enabled
     and last_seen_at > (select max(last_seen_at) from conversion_outbox.destination) - interval '10 minutes';
comment on view conversion_outbox.live_destination is 'Destinations that some worker serves: an event is finished when each of them has its delivery.';

create table conversion_outbox.delivery (
  event_no       bigint      not null,
  destination    text collate "C" not null,
  state          text        not null,
  reason         text,
  claim_no       integer     not null default 0,
  tries          smallint    not null default 0,
  attempts       smallint    not null default 0,
  response_code  smallint,
  duration_ms    integer,
  permit         integer,
  tried_at       timestamptz,
  settled_at     timestamptz,
  payload_hash   bytea,
  trace_id       bytea,
  error_code     text,
  first_tried_at timestamptz,
  intent_at      timestamptz,
  due_at         timestamptz,
  lease_until    timestamptz,

  primary key (event_no, destination),
  constraint state_is_known check (state in (
    'pending', 'accepted', 'sent', 'suppressed', 'skipped', 'expired', 'rejected', 'uncertain', 'exhausted', 'cancelled')),
  constraint final_states_are_settled check ((state = 'pending') = (settled_at is null)),
  constraint pending_is_due_some_time check ((state = 'pending') = (due_at is not null)),
  constraint only_pending_is_leased check (state = 'pending' or lease_until is null),
  constraint what_left_is_on_record check (
    state not in ('accepted', 'sent', 'uncertain') or (tries > 0 and tried_at is not null and payload_hash is not null)),
  constraint attempts_are_tries check (attempts between 0 and tries),
  constraint payload_hash_is_sha256 check (octet_length(payload_hash) = 32),
  constraint trace_id_is_16_bytes check (octet_length(trace_id) = 16),
  constraint an_error_has_a_reason check (
    reason is not null or state in ('pending', 'accepted', 'sent'))
) with (fillfactor = 95, autovacuum_vacuum_insert_scale_factor = 0.05);
-- The destination first: a claim for one destination must not read the backlog of another.
create index delivery_due on conversion_outbox.delivery (destination, due_at) where state = 'pending';
create index delivery_dead on conversion_outbox.delivery (destination, reason, event_no)
  where state in ('rejected', 'uncertain', 'exhausted');

comment on table conversion_outbox.delivery is 'One event for one destination, inserted once with its outcome. Only deliveries that wait for another try are ever updated.';
comment on column conversion_outbox.delivery.state is 'pending, or final: accepted, sent, suppressed, skipped, expired, rejected, uncertain, exhausted, cancelled.';
comment on column conversion_outbox.delivery.reason is 'Why, from a closed list (ARCHITECTURE.md, states and reasons).';
comment on column conversion_outbox.delivery.claim_no is 'Grows with every claim of a waiting delivery; the fence against a worker that lost its lease.';
comment on column conversion_outbox.delivery.tries is 'Requests that carried this event.';
comment on column conversion_outbox.delivery.attempts is 'Tries that count against the limit; a destination that is down, held or throttling burns none.';
comment on column conversion_outbox.delivery.permit is 'Bit set of the data kinds and consent signals that the payload was built with (view delivery_log spells it out).';
comment on column conversion_outbox.delivery.tried_at is 'When the last request was sent.';
comment on column conversion_outbox.delivery.first_tried_at is 'When the first request was sent, where there was more than one: the platform''s deduplication window counts from here.';
comment on column conversion_outbox.delivery.intent_at is 'Written before a request to a platform that does not deduplicate: a crash after it leaves uncertain, not a second conversion.';
comment on column conversion_outbox.delivery.due_at is 'When a pending delivery is to be tried (again).';
comment on column conversion_outbox.delivery.lease_until is 'The delivery is one worker''s until then; null when nobody holds it.';
comment on column conversion_outbox.delivery.payload_hash is 'SHA-256 of this event''s part of the request body.';

create table conversion_outbox.attempt (
  event_no      bigint      not null,
  destination   text collate "C" not null,
  try_no        smallint    not null,
  outcome       text        not null,
  counted       boolean     not null,
  tried_at      timestamptz not null,
  duration_ms   integer     not null,
  response_code smallint,
  error_code    text,
  payload_hash  bytea       not null,
  trace_id      bytea,

  primary key (event_no, destination, try_no),
  constraint tries_count_from_one check (try_no >= 1),
  constraint outcome_is_known check (outcome in (
    'accepted', 'sent', 'retry', 'rate_limited', 'hold', 'rejected', 'batch_rejected', 'ambiguous')),
  constraint payload_hash_is_sha256 check (octet_length(payload_hash) = 32)
);
comment on table conversion_outbox.attempt is 'Tries, append-only. A delivery that was settled by its first try is its own record and has no row here (view delivery_attempt shows both).';
comment on column conversion_outbox.attempt.counted is 'Whether the try counts against the limit of attempts.';
comment on column conversion_outbox.attempt.response_code is 'HTTP status; null when no answer came.';

-- Running totals of final states, so that nobody counts a large table to draw a page. Spread over slots so that
-- several workers do not wait for one another's commit.
create table conversion_outbox.delivery_total (
  destination text collate "C" not null,
  state       text collate "C" not null,
  slot        smallint not null,
  total       bigint   not null,
  retried     bigint   not null,
  primary key (destination, state, slot)
) with (fillfactor = 50);
comment on table conversion_outbox.delivery_total is 'Deliveries that entered each final state, per destination and slot: sum over slots.';
comment on column conversion_outbox.delivery_total.retried is 'Of these, deliveries that took more than one try.';

-- Consent that was taken back after the event was written. The event itself stays as it was: it is the record.
create table conversion_outbox.withdrawal (
  withdrawal_no bigint generated always as identity primary key,
  business_id   text collate "C",
  external_id   bytea,
  signals       text[]      not null,
  withdrawn_at  timestamptz not null default clock_timestamp(),

  constraint a_withdrawal_names_somebody check (num_nonnulls(business_id, external_id) = 1),
  constraint external_id_is_a_sha256 check (octet_length(external_id) = 32),
  constraint signals_are_known check (
    signals <> '{}' and signals <@ array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization'])
);
create index withdrawal_of_business on conversion_outbox.withdrawal (business_id) where business_id is not null;
create index withdrawal_of_person on conversion_outbox.withdrawal (external_id) where external_id is not null;
comment on table conversion_outbox.withdrawal is 'Consent taken back. Overrides every consent given before it, at every later attempt.';
comment on column conversion_outbox.withdrawal.external_id is 'SHA-256 of the person''s external_id, so that the opt-out outlives an erasure.';
