//! Fuzz targets. `cargo xtask fuzz` runs them.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

pub mod targets;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Feeds an entry point and watches what it allocates. libFuzzer's own limit on that needs a sanitizer, which needs an
/// unstable compiler.
pub fn bounded(feed: fn(&[u8]), data: &[u8]) {
    let region = Region::new(ALLOCATOR);
    feed(data);
    let allocated = region.change().bytes_allocated;
    assert!(
        allocated < targets::MOST_ALLOCATED,
        "{allocated} bytes were allocated for {} bytes of input",
        data.len()
    );
}
