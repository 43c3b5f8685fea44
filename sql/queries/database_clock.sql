-- What time it is: the one clock that all workers share.
select clock_timestamp() as now
