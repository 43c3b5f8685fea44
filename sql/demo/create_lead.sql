-- Somebody asked to be called.
insert into shop.leads (lead_no, full_name, created_at) values ($1, $2, $3)
