-- The door: every insert passes these triggers, whether it comes as plain sql or through enqueue().
-- They run in the order of their names: check_event, skip_repeat, and at the end of the statement queue_events.
-- A mistake in a mandatory field raises an error of class OB that names field, rule and fix, and never the value.
-- A mistake in an optional field never aborts an order: it becomes a warning on the row.
-- An order waits for all of this. So what runs for every row is plain expressions on new; queries and functions that
-- take the row as an argument stand where something is odd already.
set local role conversion_outbox_owner;

create function conversion_outbox.derive_event_id(event_name text, business_id text) returns text
language sql immutable parallel safe
as $$
  -- Event names hold neither : nor #, so no two pairs share an id. A very long business id is replaced by its digest.
  select case
    when char_length(event_name) + char_length(business_id) < 128 then event_name || ':' || business_id
    else event_name || '#' || encode(sha256(convert_to(business_id, 'UTF8')), 'hex')
  end
$$;
comment on function conversion_outbox.derive_event_id is 'The event_id that is used when an application gives none: the same for the same name and business id, for ever.';

create function conversion_outbox.is_currency(code text) returns boolean
language sql immutable parallel safe
as $$
  select code = any ('{AED,AFN,ALL,AMD,AOA,ARS,AUD,AWG,AZN,BAM,BBD,BDT,BHD,BIF,BMD,BND,BOB,BOV,BRL,BSD,BTN,BWP,BYN,BZD,CAD,CDF,CHE,CHF,CHW,CLF,CLP,CNY,COP,COU,CRC,CUP,CVE,CZK,DJF,DKK,DOP,DZD,EGP,ERN,ETB,EUR,FJD,FKP,GBP,GEL,GHS,GIP,GMD,GNF,GTQ,GYD,HKD,HNL,HTG,HUF,IDR,ILS,INR,IQD,IRR,ISK,JMD,JOD,JPY,KES,KGS,KHR,KMF,KPW,KRW,KWD,KYD,KZT,LAK,LBP,LKR,LRD,LSL,LYD,MAD,MDL,MGA,MKD,MMK,MNT,MOP,MRU,MUR,MVR,MWK,MXN,MXV,MYR,MZN,NAD,NGN,NIO,NOK,NPR,NZD,OMR,PAB,PEN,PGK,PHP,PKR,PLN,PYG,QAR,RON,RSD,RUB,RWF,SAR,SBD,SCR,SDG,SEK,SGD,SHP,SLE,SOS,SRD,SSP,STN,SVC,SYP,SZL,THB,TJS,TMT,TND,TOP,TRY,TTD,TWD,TZS,UAH,UGX,USD,USN,UYI,UYU,UYW,UZS,VED,VES,VND,VUV,WST,XAD,XAF,XCD,XCG,XOF,XPF,YER,ZAR,ZMW,ZWG}'::text[])
$$;
comment on function conversion_outbox.is_currency is 'Whether the text is an active ISO 4217 code of a currency that can be paid in.';

-- Which business columns of an event that came again differ from the one that stands.
create function conversion_outbox.content_difference(
  standing conversion_outbox.event, again conversion_outbox.event
) returns text[]
language sql immutable parallel safe
as $$
  select array_remove(array[
    case when standing.event_name  is distinct from again.event_name  then 'event_name'  end,
    case when standing.business_id is distinct from again.business_id then 'business_id' end,
    case when standing.value       is distinct from again.value       then 'value'       end,
    case when standing.currency    is distinct from again.currency    then 'currency'    end,
    case when standing.depends_on  is distinct from again.depends_on  then 'depends_on'  end,
    case when standing.properties -> 'items' is distinct from again.properties -> 'items' then 'properties.items' end
  ], null)
$$;
comment on function conversion_outbox.content_difference is 'Names of the business columns in which a repeated event differs from the one that stands; empty for a plain duplicate.';

create function conversion_outbox.refuse(code text, field text, rule text, fix text) returns void
language plpgsql
as $$
begin
  raise exception using
    errcode = code, schema = 'conversion_outbox', table = 'event', column = field,
    message = format('conversion_outbox.event.%s: %s', field, rule),
    detail = format('The row was not written. Field: %s. Rule: %s.', field, rule),
    hint = fix;
end
$$;
comment on function conversion_outbox.refuse is 'Raises the error of a mandatory field. It takes no value, so it can show none.';

create function conversion_outbox.known_keys(column_name text) returns text[]
language sql immutable parallel safe
as $$
  select case column_name
    when 'click_ids' then '{gclid,gbraid,wbraid,fbc,fbp,fbclid,li_fat_id,ttclid,ttp,msclkid,epik,sc_click_id,rdt_cid,ga_client_id,ga_session_id}'::text[]
    when 'user_data' then '{email,phone,first_name,last_name,street,city,region,postal_code,country,date_of_birth,gender,external_id,company,job_title,ip_address,user_agent}'::text[]
    when 'consent' then '{ad_storage,analytics_storage,ad_user_data,ad_personalization,given_at,source,version,legal_basis,region,gpc,tcf,gpp,decision}'::text[]
  end
$$;
comment on function conversion_outbox.known_keys is 'The keys of a json column that somebody reads.';

create function conversion_outbox.is_readable(fields jsonb) returns boolean
language sql stable parallel safe
as $$
  -- A number such as 1e131071 is stored in a few bytes and printed with as many digits: nobody could read the row. Columns
  -- that hold nothing but texts, as most do, need no closer look.
  select pg_column_size(fields) <= 65536
     and (not fields @? 'strict $.* ? (@.type() != "string")'
       or not fields @? 'strict $.** ? (@.type() == "number" && (@ > 1e30 || @ < -1e30 || (@ != 0 && @ < 1e-30 && @ > -1e-30)))'
          and not fields @? 'strict $.**{64}')
$$;
comment on function conversion_outbox.is_readable is 'Whether a json column is small and shallow enough to be read by everybody: 64 kB, 64 levels, numbers up to 1e30.';

create function conversion_outbox.warning(field text, rule text) returns jsonb
language sql immutable parallel safe
as $$ select jsonb_build_array(jsonb_build_object('field', field, 'rule', rule)) $$;
comment on function conversion_outbox.warning is 'One warning, as a list. It takes no value, so it can show none.';

create function conversion_outbox.field_warnings(column_name text, fields jsonb) returns jsonb
language sql immutable parallel safe
as $$
  -- The name of an unknown key is not repeated: it may be an e-mail address itself.
  select coalesce(jsonb_agg(distinct w.warning), '[]')
    from jsonb_each(fields) as f (key, part)
   cross join lateral (select case
           when f.key <> all (conversion_outbox.known_keys(column_name))
             then jsonb_build_object('field', column_name, 'rule', 'has a key that no platform uses')
           when column_name = 'user_data' and f.key in ('email', 'phone')
             then case when f.part @? '$[*] ? (@.type() != "string" && @.type() != "number" && @.type() != "null")'
               then jsonb_build_object('field', column_name || '.' || f.key, 'rule', 'not a text or a list of texts') end
           when jsonb_typeof(f.part) not in ('string', 'number', 'null')
             then jsonb_build_object('field', column_name || '.' || f.key, 'rule', 'not a text')
         end) as w (warning)
   where w.warning is not null
$$;
comment on function conversion_outbox.field_warnings is 'What is odd about the keys of a json column and the kinds of their values.';

-- All rules about one row by itself. One function, since each further trigger adds some ten microseconds to every row.
create function conversion_outbox.check_event() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
declare
  signal text;
  decision jsonb;
  found jsonb := '[]'::jsonb;
begin
  -- Mandatory columns: a mistake raises.
  new.currency := upper(btrim(new.currency));
  if new.event_name is null or new.event_name !~ '^[a-z][a-z0-9_]*$' or char_length(new.event_name) > 40 then
    perform conversion_outbox.refuse('OB001', 'event_name', 'must be a snake_case name of 1 to 40 characters',
      'Use order_paid, lead_qualified, order_refunded, ... or your own name made of a-z, 0-9 and _.');
  end if;
  if new.business_id is null or char_length(new.business_id) not between 1 and 128 or new.business_id ~ '[[:cntrl:]]' or btrim(new.business_id) = '' then
    perform conversion_outbox.refuse('OB002', 'business_id', 'must be 1 to 128 printable characters',
      'Pass the order, payment, booking, lead or deal id.');
  end if;
  if new.event_id is not null and (char_length(new.event_id) not between 1 and 128 or new.event_id ~ '[[:cntrl:]]' or btrim(new.event_id) = '') then
    perform conversion_outbox.refuse('OB003', 'event_id', 'must be 1 to 128 printable characters',
      'Pass the id that the browser uses for the same event, or leave event_id out: it is then derived from event_name and business_id.');
  end if;
  if (new.value is null) <> (new.currency is null) then
    perform conversion_outbox.refuse('OB004', case when new.value is null then 'value' else 'currency' end,
      'value and currency are given together or not at all',
      'Pass both, or neither. A currency is never guessed.');
  end if;
  if new.value is not null and not (new.value >= 0 and new.value < 1e18) then
    perform conversion_outbox.refuse('OB005', 'value', 'must be an amount from 0 to below 1e18',
      'Pass the amount as a positive number; a refund is an event of its own (order_refunded), not a negative purchase.');
  end if;
  if new.currency is not null and not conversion_outbox.is_currency(new.currency) then
    perform conversion_outbox.refuse('OB006', 'currency', 'must be an ISO 4217 code',
      'Pass three letters such as EUR, USD or JPY.');
  end if;

  if new.consent is null then
    perform conversion_outbox.refuse('OB010', 'consent', 'is mandatory and has no default',
      'Pass {"ad_storage": ..., "analytics_storage": ..., "ad_user_data": ..., "ad_personalization": ...} with granted, denied or unspecified as the person chose; unspecified is a legal answer.');
  end if;
  if jsonb_typeof(new.consent) <> 'object' then
    perform conversion_outbox.refuse('OB011', 'consent', 'must be a json object',
      'Pass an object with the four signals, or with "decision".');
  end if;
  if not conversion_outbox.is_readable(new.consent) then
    perform conversion_outbox.refuse('OB014', 'consent', 'must be smaller than 64 kB, at most 64 levels deep, with numbers up to 1e30',
      'Pass the signals and where they were given; keep the banner''s own record elsewhere.');
  end if;
  decision := new.consent -> 'decision';
  if decision is not null then
    if jsonb_typeof(decision) <> 'object'
       or exists (select from jsonb_each(decision) d where jsonb_typeof(d.value) <> 'array')
       or exists (select from jsonb_each(decision) d, jsonb_array_elements(d.value) kind
                  where jsonb_typeof(kind.value) <> 'string'
                     or kind.value #>> '{}' not in ('event', 'click_id', 'email', 'phone', 'name', 'address',
                                                   'demographics', 'external_id', 'ip_address', 'user_agent')) then
      perform conversion_outbox.refuse('OB013', 'consent', 'decision must name platforms or destinations, each with a list of data kinds',
        'Pass {"decision": {"meta": ["event", "email"], "ga4": ["event", "click_id"]}}. Data kinds: event, click_id, email, phone, name, address, demographics, external_id, ip_address, user_agent.');
    end if;
  end if;
  if not array[new.consent ->> 'ad_storage', new.consent ->> 'analytics_storage', new.consent ->> 'ad_user_data',
               new.consent ->> 'ad_personalization'] <@ '{granted,denied,unspecified}'::text[] then
    foreach signal in array array['ad_storage', 'analytics_storage', 'ad_user_data', 'ad_personalization'] loop
      if coalesce(new.consent ->> signal, '') not in ('granted', 'denied', 'unspecified')
         and (decision is null or new.consent ? signal) then
        perform conversion_outbox.refuse('OB012', 'consent', signal || ' must be granted, denied or unspecified',
          'Give all four signals (ad_storage, analytics_storage, ad_user_data, ad_personalization), or a legal "decision".');
      end if;
    end loop;
  end if;

  new.event_id := coalesce(new.event_id, conversion_outbox.derive_event_id(new.event_name, new.business_id));
  -- Optional columns: what cannot be used at all is dropped, everything else stays, and each oddity is listed.
  new.recorded_at := clock_timestamp();
  if new.occurred_at is null then
    new.occurred_at := now();
  elsif new.occurred_at not between '0001-01-01 00:00+00' and '9999-12-31 00:00+00' then
    new.occurred_at := now();
    found := found || conversion_outbox.warning('occurred_at', 'not a time of the years 1 to 9999; now() taken');
  elsif new.occurred_at > new.recorded_at + interval '5 minutes' then
    found := found || conversion_outbox.warning('occurred_at', 'lies in the future; it is sent once that time has come');
  end if;
  -- Taken apart by hand: bounded repeats in a regular expression cost more than all other checks together.
  if new.traceparent not like '__-________________________________-________________-__%'
     or char_length(replace(left(new.traceparent, 55), '-', '')) <> 52
     or replace(left(new.traceparent, 55), '-', '') ~ '[^0-9a-f]'
     or left(new.traceparent, 2) = 'ff'
     or substr(new.traceparent, 4, 32) = '00000000000000000000000000000000'
     or substr(new.traceparent, 37, 16) = '0000000000000000'
     or (char_length(new.traceparent) > 55 and (left(new.traceparent, 2) = '00' or substr(new.traceparent, 56, 1) <> '-')) then
    new.traceparent := null;
    found := found || conversion_outbox.warning('traceparent', 'not a W3C trace context; dropped');
  end if;
  if char_length(new.tracestate) > 512 or (new.tracestate is not null and new.traceparent is null) then
    new.tracestate := null;
    found := found || conversion_outbox.warning('tracestate', 'longer than 512 characters or without traceparent; dropped');
  end if;
  if new.depends_on = new.event_id then
    new.depends_on := null;
    found := found || conversion_outbox.warning('depends_on', 'names the event itself; dropped');
  end if;
  if new.action_source not in (
       'website', 'app', 'physical_store', 'phone_call', 'chat', 'email', 'other', 'system_generated', 'business_messaging') then
    new.action_source := null;
    found := found || conversion_outbox.warning('action_source', 'not one of website, app, physical_store, phone_call, chat, email, other, system_generated, business_messaging; dropped');
  end if;
  if new.page_url !~* '^https?://[^[:space:]]+$' then
    new.page_url := null;
    found := found || conversion_outbox.warning('page_url', 'not an http or https address; dropped');
  end if;

  new.properties := coalesce(new.properties, '{}');
  if jsonb_typeof(new.properties) <> 'object' then
    new.properties := '{}';
    found := found || conversion_outbox.warning('properties', 'not a json object; dropped');
  elsif not conversion_outbox.is_readable(new.properties) then
    new.properties := '{}';
    found := found || conversion_outbox.warning('properties', 'larger than 64 kB, deeper than 64 levels, or with a number beyond 1e30; dropped');
  end if;
  new.click_ids := coalesce(new.click_ids, '{}');
  if jsonb_typeof(new.click_ids) <> 'object' then
    new.click_ids := '{}';
    found := found || conversion_outbox.warning('click_ids', 'not a json object; dropped');
  elsif not conversion_outbox.is_readable(new.click_ids) then
    new.click_ids := '{}';
    found := found || conversion_outbox.warning('click_ids', 'larger than 64 kB, deeper than 64 levels, or with a number beyond 1e30; dropped');
  elsif new.click_ids - conversion_outbox.known_keys('click_ids') <> '{}' or new.click_ids @? 'strict $.* ? (@.type() != "string")' then
    found := found || conversion_outbox.field_warnings('click_ids', new.click_ids);
  end if;
  new.user_data := coalesce(new.user_data, '{}');
  if jsonb_typeof(new.user_data) <> 'object' then
    new.user_data := '{}';
    found := found || conversion_outbox.warning('user_data', 'not a json object; dropped');
  elsif not conversion_outbox.is_readable(new.user_data) then
    new.user_data := '{}';
    found := found || conversion_outbox.warning('user_data', 'larger than 64 kB, deeper than 64 levels, or with a number beyond 1e30; dropped');
  elsif new.user_data - conversion_outbox.known_keys('user_data') <> '{}' or new.user_data @? 'strict $.* ? (@.type() != "string")' then
    found := found || conversion_outbox.field_warnings('user_data', new.user_data);
  end if;
  if new.user_data @? '$.email[*] ? (!(@ like_regex "^\\s*(?:[^@\\s]+@[^@\\s]+\\.[^@\\s]+|[0-9a-fA-F]{64})\\s*$"))' then
    found := found || conversion_outbox.warning('user_data.email', 'does not look like an e-mail address or a SHA-256');
  end if;
  if new.user_data @? '$.phone[*] ? (!(@ like_regex "^[^[:alpha:]]*(?:[0-9][^[:alpha:]]*){7}|^[0-9a-fA-F]{64}$"))' then
    found := found || conversion_outbox.warning('user_data.phone', 'does not look like a phone number or a SHA-256');
  end if;
  if new.consent - conversion_outbox.known_keys('consent') <> '{}' then
    found := found || conversion_outbox.warning('consent', 'has a key that is not read');
  end if;
  if jsonb_typeof(new.consent -> 'gpc') not in ('boolean', 'null') then
    found := found || conversion_outbox.warning('consent.gpc', 'not true or false; taken as true');
  end if;

  new.warnings := nullif(found, '[]');
  return new;
end
$$;
comment on function conversion_outbox.check_event is 'Raises OB001 to OB014 for a mistake in a mandatory column, fills in what was left out, drops unusable optional fields and lists oddities in warnings.';

create function conversion_outbox.skip_repeat() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
declare
  twins integer;
  standing conversion_outbox.event;
  differs text[];
begin
  -- Waits for another transaction that is inserting the same event right now, so that the repeat is seen as one.
  -- A transaction takes at most 64 such locks, the server's default budget, however many events it inserts; beyond
  -- that the unique constraint alone decides.
  twins := coalesce(substring(current_setting('conversion_outbox.twin_locks', true) from '^[0-9]{1,4}$'), '0')::integer;
  if twins < 64 then
    perform pg_advisory_xact_lock(hashtextextended(new.event_id, 4242)),
            set_config('conversion_outbox.twin_locks', (twins + 1)::text, true);
  end if;
  if not exists (select from conversion_outbox.event e where e.event_id = new.event_id) then
    return new;
  end if;

  select * into strict standing from conversion_outbox.event e where e.event_id = new.event_id;
  differs := conversion_outbox.content_difference(standing, new);
  insert into conversion_outbox.repeat as r (event_id, duplicates, conflicts, differs)
  values (new.event_id, (differs = '{}')::integer, (differs <> '{}')::integer, differs)
  on conflict (event_id) do update set
    duplicates = r.duplicates + excluded.duplicates,
    conflicts = r.conflicts + excluded.conflicts,
    differs = (select coalesce(array_agg(distinct d order by d), '{}') from unnest(r.differs || excluded.differs) d),
    last_seen_at = excluded.last_seen_at;
  return null;
end
$$;
comment on function conversion_outbox.skip_repeat is 'Turns a repeated event into a count and skips the row.';

create function conversion_outbox.queue_events() returns trigger
language plpgsql security definer
set search_path = conversion_outbox, pg_temp
as $$
begin
  -- No notify here: a transaction that notifies takes a global lock at commit. Workers poll.
  insert into conversion_outbox.queue (event_no) select event_no from inserted;
  return null;
end
$$;
comment on function conversion_outbox.queue_events is 'Queues the new events, in the application''s own transaction.';

create trigger check_event before insert on conversion_outbox.event
  for each row execute function conversion_outbox.check_event();
create trigger skip_repeat before insert on conversion_outbox.event
  for each row execute function conversion_outbox.skip_repeat();
create trigger queue_events after insert on conversion_outbox.event
  referencing new table as inserted
  for each statement execute function conversion_outbox.queue_events();
