-- Limits of requests that all workers keep together, and destinations that want to be left alone for a while.
set local role conversion_outbox_owner;
