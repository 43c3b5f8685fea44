-- The basket at the checkout, not yet paid.
insert into shop.orders (order_id, customer_no, total, ordered_at) values ($1, $2, cast($3 as numeric), $4)
