//! Outbox.

pub mod currency;
pub mod identity;
