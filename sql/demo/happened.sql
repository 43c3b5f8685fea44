-- What the business says happened, from its own tables alone: the id each event has, its name, the order, lead or deal, and
-- the money.
select order_id as event_id, 'order_paid' as event_name, order_id as business_id, total::text as amount
  from shop.orders where paid_at is not null
union all
select order_id || '_refund_' || refund_no, 'order_refunded', order_id, amount::text from shop.refunds
union all
select 'lead_' || lead_no, 'lead_created', 'lead_' || lead_no, null from shop.leads
union all
select 'lead_' || lead_no || '_qualified', 'lead_qualified', 'lead_' || lead_no, null from shop.leads where qualified
union all
select 'deal_' || lead_no || '_won', 'deal_won', 'deal_' || lead_no, amount::text from shop.deals
