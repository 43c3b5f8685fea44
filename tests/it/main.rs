//! Everything that needs a database or a process. One binary, so that the library is linked once.

mod catalog;
mod claim;
mod cli;
mod conformance;
mod desk;
mod doctor;
mod door;
mod golden;
mod harness;
mod insert;
mod late;
mod migrate;
mod plan;
mod privacy;
mod process;
mod race;
mod repeat;
mod reversal;
mod rig;
mod roles;
mod server;
mod settle;
mod tls;
mod warnings;
mod work;
mod worker;
