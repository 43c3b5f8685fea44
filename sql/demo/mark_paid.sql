-- Paid once is paid: a repeated call changes nothing.
update shop.orders set paid_at = $2 where order_id = $1 and paid_at is null
