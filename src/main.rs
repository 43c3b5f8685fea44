//! Arguments, one command, an exit code.

fn main() {}
