-- Whether the events of a day are found without reading all there are; a large table had the index left out of its migration.
select to_regclass('conversion_outbox.event_by_day') is not null as is_there
