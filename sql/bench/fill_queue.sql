-- Fresh events as an application writes them, through the triggers.
-- $1 bigint events   $2 text prefix of their ids
insert into conversion_outbox.event (event_id, event_name, business_id, value, currency, consent, user_data, click_ids, properties, action_source, page_url)
select $2 || n, 'order_paid', $2 || n, 129.90, 'EUR',
       '{"ad_storage": "granted", "analytics_storage": "granted", "ad_user_data": "granted", "ad_personalization": "granted", "given_at": "2026-11-01T10:00:00Z", "source": "shop", "version": "7"}',
       jsonb_build_object('email', 'customer' || n || '@example.com', 'phone', '+49 30 90' || 1820 + n % 1000, 'first_name', 'Ana', 'last_name', 'Muster',
         'city', 'Berlin', 'postal_code', '10115', 'country', 'DE', 'external_id', 'c-' || n, 'ip_address', '203.0.113.7',
         'user_agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36'),
       jsonb_build_object('fbp', 'fb.1.1596403881668.1116446470', 'fbc', 'fb.1.1554763741205.AbCdEfGhIjKlMnOpQrStUvWxYz', 'ga_client_id', 123456789 + n || '.1700000000',
         'ga_session_id', '1795427800'),
       '{"items": [{"id": "SKU-7", "name": "Trail shoe", "price": 62.5, "quantity": 2}, {"id": "SKU-9", "name": "Sock", "price": 4.9, "quantity": 1}], "tax": 20.74, "shipping": 4.9, "lead_source": "newsletter"}',
       'website', 'https://shop.example/checkout/thanks?step=3'
  from generate_series(1, $1) n
