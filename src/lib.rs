//! Tells advertising and analytics platforms about committed business events, once, with consent.
//!
//! One event passes these modules in order: the application inserts it ([`event`]); a worker leases it ([`claim`]) and
//! decides for every destination ([`decide`]) by route, age and [`consent`] what may leave; the person is normalised and
//! hashed ([`identity`]) into a [`conversion`], which a platform ([`destinations`]) turns into a request; that is sent
//! ([`send`]), its answer read as an [`outcome`], resolved into the delivery's next state ([`resolve`], [`retry`]) and
//! written back in one guarded statement ([`settle`]). [`worker`] wires the stages.

pub mod config;
pub mod tls;

pub mod claim;
pub mod consent;
pub mod conversion;
pub mod currency;
pub mod decide;
pub mod destinations;
pub mod event;
pub mod identity;
pub mod late;
pub mod limit;
pub mod money;
pub mod original;
pub mod outcome;
pub mod resolve;
pub mod retention;
pub mod retry;
pub mod send;
pub mod settle;
pub mod suppression;
pub mod tally;
pub mod token;
pub mod worker;

pub mod admin;
pub mod db;
pub mod digest;
pub mod doctor;
pub mod funnel;
pub mod operations;
pub mod pages;
pub mod preview;
pub mod proof;
pub mod reconcile;
pub mod reports;
pub mod serve;
pub mod telemetry;

pub mod cli;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

#[cfg(feature = "sandbox")]
pub mod bench;
#[cfg(feature = "sandbox")]
pub mod demo;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "sandbox")]
pub mod torture;
