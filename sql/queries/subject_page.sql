-- The next events with what a person can be found by.
-- $1 bigint above which number   $2 integer how many
select event_no, user_data from conversion_outbox.subject_page($1, $2) order by event_no
