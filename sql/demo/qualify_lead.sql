-- Sales found the lead worth pursuing.
update shop.leads set qualified = true where lead_no = $1
