//! This crate's side of `cargo xtask bench`; peers/README.md says what it takes and prints.
//!
//! ```text
//! bench --connection-string TEXT --hub NAME --mode send|receive|single|latency|idle|fill|links|buffered|buffered-receipts|buffered-idempotent
//!       [--transport ws|tcp] [--size BYTES] [--count N] [--partition ID] [--in-flight N] [--links N]
//! ```

mod modes;

use std::error::Error;

use modes::{Arguments, run};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    // One thread, as the official SDK for Rust is measured: what one core does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(outcome) = run(&arguments).await? {
            println!("{{{}}}", outcome.fields(&arguments));
        }
        Ok(())
    })
}
