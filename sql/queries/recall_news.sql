-- Whether anything was withdrawn, erased or suppressed that some claim did not see; one probe of an index each.
-- $1 text  number of the oldest transaction that was open when the earliest of these claims looked
select exists (select from conversion_outbox.withdrawal where written_by >= $1::xid8)
    or exists (select from conversion_outbox.suppression where written_by >= $1::xid8) as is_news
