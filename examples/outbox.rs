//! Keeps each line of its input on disk until the service has it. Kill it, pull the plug, start it again: nothing is lost, and nothing is stored
//! twice.
//!
//! ```text
//! sensor | cargo run --example outbox -- /var/lib/sensor/outbox "$CONNECTION_STRING" readings
//! ```

use std::io::BufRead;
use std::time::Duration;

use eventhubs::outbox::{Outbox, OutboxOptions};
use eventhubs::{EventData, ProducerClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, connection_string, hub] = arguments.as_slice() else {
        return Err("usage: outbox DIRECTORY CONNECTION_STRING HUB".into());
    };
    let producer = ProducerClient::builder().connection_string(connection_string).event_hub(hub);
    let outbox = Outbox::open(directory, producer, OutboxOptions::default()).await?;
    println!("{} events wait from before", outbox.state().waiting_events);
    for line in std::io::stdin().lock().lines() {
        // All lines have one key, so that they stay in order.
        outbox.enqueue(EventData::from(line?).with_partition_key(hub)).await?;
    }
    // What is not sent by then is sent the next time.
    if let Err(error) = outbox.flush(Duration::from_secs(10)).await {
        eprintln!("{error}");
    }
    for letter in outbox.dead_letters()? {
        eprintln!("event {} can never be sent: {}", letter.id, letter.reason);
    }
    let state = outbox.state();
    println!("{} events sent, {} wait", state.sent, state.waiting_events);
    outbox.close().await;
    Ok(())
}
