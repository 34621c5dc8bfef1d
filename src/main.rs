//! The `eventhubs` command.
fn main() {}
