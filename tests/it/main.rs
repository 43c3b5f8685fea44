//! Everything that needs a database or a process. One binary, so that the library is linked once.

mod cli;
mod desk;
mod door;
mod golden;
mod migrate;
mod server;
mod tls;
