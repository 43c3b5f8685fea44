//! Outbox.

pub mod currency;
