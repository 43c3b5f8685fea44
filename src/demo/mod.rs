//! A trading day in a box: a shop and its CRM, everything that goes wrong on such days, and an account of what ought to
//! be counted, compared with what the platforms' emulators counted.

pub mod audit;
pub mod orders;
pub mod people;
pub mod play;
mod random;
pub mod shop;
pub mod stage;
pub mod summary;
