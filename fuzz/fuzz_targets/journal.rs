#![no_main]

use eventhubs_fuzz::{bounded, targets};

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded(targets::journal, data));
