//! Two processors share the partitions of a hub, in front of an emulator of their own; one leaves, and the other takes over behind
//! its checkpoints.
//!
//! ```text
//! cargo run --features emulator --example processor
//! ```

use std::time::Duration;

use eventhubs::checkpoint::MemoryStore;
use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::processor::{AutoCheckpoint, EventProcessor, Handlers};
use eventhubs::{ConsumerClient, ProducerClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::start(EmulatorConfig::default().with_hub("orders", 4)).await?;
    let connection_string = format!("{}EntityPath=orders", emulator.connection_string());
    // Members in one process may share a store in memory; elsewhere: `FileStore`, `SqliteStore`, `BlobStore`.
    let store = MemoryStore::new();
    let mut members = Vec::new();
    for name in ["anna", "otto"] {
        let consumer = ConsumerClient::from_connection_string(&connection_string)?;
        let processor = EventProcessor::builder(consumer, store.clone())
            .processor_id(name)
            .load_balancing_interval(Duration::from_millis(200))
            .ownership_expiration(Duration::from_secs(2))
            .auto_checkpoint(
                AutoCheckpoint::never().every_events(100).every(Duration::from_secs(1)).on_close(),
            )
            .build()?;
        let handlers = Handlers::new(move |events, partition| async move {
            for event in events {
                println!("{name}, partition {}: {}", partition.partition_id(), event.body_text()?);
            }
            Ok(())
        })
        .on_close(move |partition, reason| async move {
            println!("{name} lets go of partition {}: {reason}", partition.partition_id());
            Ok(())
        })
        .on_error(move |failure| async move { eprintln!("{name}: {failure}") });
        let own = processor.clone();
        members.push((processor, tokio::spawn(async move { own.run(handlers).await })));
    }
    let producer = ProducerClient::from_connection_string(&connection_string)?;
    for number in 0..20 {
        producer.send(format!("order {number}")).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if number == 10 {
            println!("lag of otto: {} events", members[1].0.lag().await?.events);
            members[0].0.stop().await;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (processor, run) in members {
        processor.stop().await;
        run.await??;
    }
    Ok(())
}
