//! The worker against a real database and real HTTP: tests that try to break each of its promises.

mod accounts;
mod canary;
mod clock;
mod consent;
mod crash;
mod delivered;
mod doubt;
mod google;
mod host_database;
mod hostile;
mod limits;
mod lost_answers;
mod once;
mod orders;
mod outage;
mod paused;
mod poison;
mod refund_consent;
mod replayed;
mod replicas;
mod retries;
mod rules;
mod same_id;
mod taken_back;
