//! The database, seen from the worker.

pub mod connect;
pub mod dial;
pub mod error;
mod hosts;
pub mod migrate;
mod tls;
