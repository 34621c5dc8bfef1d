//! The crate as WebAssembly, in Node and in Chromium, against a live emulator: `cargo xtask test wasm`.

#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, clippy::unwrap_used)]

use eventhubs::{ConsumerClient, ErrorKind, ProducerClient, StartPosition};
use wasm_bindgen_test::wasm_bindgen_test;

/// The emulator that `cargo xtask test wasm` started.
const SERVICE: &str = env!("EVENTHUBS_TEST_CONNECTION_STRING");

#[wasm_bindgen_test]
async fn what_is_sent_is_received() {
    let producer = ProducerClient::builder().connection_string(SERVICE).event_hub("eh1").build().unwrap();
    producer.send("hello from wasm").await.unwrap();
    let consumer = ConsumerClient::builder().connection_string(SERVICE).event_hub("eh1").build().unwrap();
    let mut events = consumer.all_partitions().from(StartPosition::earliest()).open().await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(event.body_text().unwrap(), "hello from wasm");
}

#[wasm_bindgen_test]
async fn a_hub_that_does_not_exist_is_not_found() {
    let producer = ProducerClient::builder().connection_string(SERVICE).event_hub("nowhere").build().unwrap();
    assert_eq!(producer.send("x").await.unwrap_err().kind(), ErrorKind::NotFound);
}
