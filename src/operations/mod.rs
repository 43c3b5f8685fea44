//! What people see of deliveries and do to them by hand: dead letters, replays, skips, and one event's whole life.
//!
//! Everything is asked of the database as a member of `conversion_outbox_operator`, who sees nothing of any person. What is
//! changed is changed by functions of the schema, which write the record of it in the same transaction. Not for printing.

pub mod advice;
pub mod dead_letters;
pub mod destinations;
mod filter;
pub mod known;
pub mod life;
pub mod report;
pub mod run;

pub use filter::Filter;
