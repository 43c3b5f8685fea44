//! The difference against the source of truth: the application's own tables, the outbox, what was sent, what was accepted,
//! and what the platforms themselves report.
//!
//! One day at a time: rows of the application ([`source`]) and events ([`outbox`]) are read, what platforms say is looked up
//! ([`platform`]), all of it is compared ([`compare`], pure) into a [`result`], and kept ([`stored`]). [`compute`] is the parent
//! of these. [`import`] takes a platform's export, [`backfill`] writes what the application forgot.

pub mod exact;
pub mod result;
pub mod stored;
pub mod why;
