//! The worker: claims, decides, sends, settles, until it is told to stop.

pub mod gate;
