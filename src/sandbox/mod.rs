//! Everything that lets the product be tried and tested on one machine with nothing configured.

pub mod postgres;
