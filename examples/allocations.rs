//! What receiving allocates, for `cargo xtask bench`. A body that were copied between the socket's buffer and the
//! caller would show as twice the bytes.

#[path = "bench/modes.rs"]
mod modes;

use std::alloc::System;
use std::error::Error;

use modes::{Arguments, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // With what connecting takes: some hundred allocations, which many events make disappear.
        let region = Region::new(ALLOCATOR);
        let outcome = run(&arguments).await?.ok_or("this mode measures nothing")?;
        let used = region.change();
        println!(
            r#"{{{},"allocations":{},"reallocations":{},"allocatedBytes":{}}}"#,
            outcome.fields(&arguments),
            used.allocations,
            used.reallocations,
            used.bytes_allocated
        );
        Ok(())
    })
}
