-- A customer's first order makes the customer.
insert into shop.customers (customer_no, full_name) values ($1, $2) on conflict do nothing
