//! The worker against a real database and real HTTP: tests that try to break each of its promises.

mod delivered;
mod lost_answers;
mod once;
mod same_id;
