-- The tables of the demo's shop and CRM. They know nothing of conversion_outbox; the login of the application may
-- write events, and that grant is all that an application needs.
create schema shop;

create table shop.customers (
  customer_no bigint primary key,
  full_name   text   not null
);
create table shop.orders (
  order_id    text primary key,
  customer_no bigint         not null references shop.customers,
  total       numeric(12, 2) not null check (total > 0),
  ordered_at  timestamptz    not null,
  paid_at     timestamptz
);
-- Every call of the payment provider, repeats included: it promises "at least once".
create table shop.payment_webhooks (
  webhook_no  bigint generated always as identity primary key,
  order_id    text           not null references shop.orders,
  amount      numeric(12, 2) not null
);
create table shop.refunds (
  order_id    text           not null references shop.orders,
  refund_no   integer        not null,
  amount      numeric(12, 2) not null check (amount > 0),
  primary key (order_id, refund_no)
);
create table shop.leads (
  lead_no     bigint primary key,
  full_name   text        not null,
  created_at  timestamptz not null,
  qualified   boolean     not null default false
);
create table shop.deals (
  lead_no     bigint primary key references shop.leads,
  amount      numeric(12, 2) not null check (amount > 0),
  won_at      timestamptz    not null
);

-- Roles belong to the whole cluster: on a server that is used again it is there already.
do $$
begin
  if not exists (select from pg_roles where rolname = 'demo_shop') then
    create role demo_shop nologin;
  end if;
end
$$;
grant conversion_outbox_app to demo_shop;
grant usage on schema shop to demo_shop;
grant select, insert, update on all tables in schema shop to demo_shop;
