//! Fuzz targets. `cargo xtask fuzz` runs them.

pub mod targets;
