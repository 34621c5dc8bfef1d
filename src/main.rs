//! The `eventhubs` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    eventhubs::cli::run()
}
