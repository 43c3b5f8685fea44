-- What the business says happened, from its own tables alone: the id each event has, and its name.
select order_id as event_id, 'order_paid' as event_name from shop.orders where paid_at is not null
union all
select order_id || '_refund_' || refund_no, 'order_refunded' from shop.refunds
union all
select 'lead_' || lead_no, 'lead_created' from shop.leads
union all
select 'lead_' || lead_no || '_qualified', 'lead_qualified' from shop.leads where qualified
union all
select 'deal_' || lead_no || '_won', 'deal_won' from shop.deals
