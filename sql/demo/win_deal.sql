-- The lead became a customer.
insert into shop.deals (lead_no, amount, won_at) values ($1, cast($2 as numeric), $3)
