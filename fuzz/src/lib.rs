//! Fuzz targets. `cargo xtask fuzz` runs them.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

pub mod targets;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What one input of a few kilobytes may make a target allocate, in bytes, everything added up: far more than any
/// needs, far less than a length that lies asks for.
const MOST_ALLOCATED: usize = 64 << 20;

/// Feeds an entry point and watches what it allocates. libFuzzer's own limit on that needs a sanitizer, which needs an
/// unstable compiler.
pub fn bounded(feed: fn(&[u8]), data: &[u8]) {
    let region = Region::new(ALLOCATOR);
    feed(data);
    let allocated = region.change().bytes_allocated;
    assert!(allocated < MOST_ALLOCATED, "{allocated} bytes were allocated for {} bytes of input", data.len());
}
