-- A call of the payment provider, whether it came before or not.
insert into shop.payment_webhooks (order_id, amount) values ($1, cast($2 as numeric))
