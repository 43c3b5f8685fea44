//! A shop and its CRM on one machine: baskets of a public data set, invented people, and an account of what ought to
//! be counted.

pub mod orders;
pub mod people;
mod random;
pub mod shop;
