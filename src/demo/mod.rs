//! A trading day in a box: a shop and its CRM, everything that goes wrong on such days, and an account of what ought to
//! be counted, compared with what the platforms' emulators counted.

pub mod audit;
mod configuration;
mod ledgers;
pub mod orders;
pub mod outlets;
pub mod people;
pub mod play;
pub(crate) mod random;
mod scenes;
pub mod shop;
pub mod stage;
pub mod summary;
pub(crate) mod worlds;
