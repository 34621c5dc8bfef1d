//! What the service would compute: for `eventhubs/compat`, which decides some things itself.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::model::{partition, sas};

/// The index of the partition that events with `key` go to, in a hub of `count` partitions.
#[wasm_bindgen(js_name = partitionFor)]
pub fn partition_for(key: &str, count: u32) -> u32 {
    partition::for_key(key, count)
}

/// A shared access signature for `audience`; `expiry` in seconds since 1970.
#[wasm_bindgen(js_name = sasToken)]
pub fn sas_token(audience: &str, key_name: &str, key: &str, expiry: f64) -> String {
    sas::sign(audience, key_name, key, expiry as i64)
}
