-- Money given back.
insert into shop.refunds (order_id, refund_no, amount) values ($1, $2, cast($3 as numeric))
