//! A processor in a process of its own, which writes down what happens to it: one of those that `cargo xtask processors` starts,
//! kills, stops for a while and cuts off from the store.
//!
//!     processor_member CONNECTION_STRING HUB STORAGE CONTAINER INTERVAL_MS EXPIRY_MS
//!
//! Each line begins with the time in milliseconds: `K` claimed from, `B` began, `P` processed (number, when enqueued), `C`
//! checkpointed, `E` ended with a reason, `F` failed. It ends when its input does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eventhubs::checkpoint::BlobStore;
use eventhubs::processor::{
    CloseReason, EventHandler, EventProcessor, HandlerError, PartitionContext, ProcessorFailure,
    ProcessorStatus,
};
use eventhubs::{ConsumerClient, ReceivedEvent, StartPosition};

/// A checkpoint after so many calls of the handler, so that some events always lie behind the last one.
const CALLS: u64 = 3;

#[derive(Default)]
struct Scribe {
    calls: AtomicU64,
}

fn say(what: impl Display) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut output = std::io::stdout().lock();
    // Who started this and has gone does not read any more.
    if writeln!(output, "{now} {what}").and_then(|()| output.flush()).is_err() {
        std::process::exit(1);
    }
}

impl EventHandler for Scribe {
    async fn process(
        &self,
        events: &[ReceivedEvent],
        partition: &PartitionContext,
    ) -> Result<(), HandlerError> {
        let id = partition.partition_id();
        for event in events {
            say(format_args!("P {id} {} {}", event.sequence_number(), event.enqueued_time().as_millis()));
        }
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(CALLS)
            && let Some(last) = events.last()
        {
            match partition.checkpoint(last).await {
                Ok(()) => say(format_args!("C {id} {}", last.sequence_number())),
                Err(error) => say(format_args!("F {id} checkpoint {error}")),
            }
        }
        Ok(())
    }

    async fn initialize(&self, partition: &PartitionContext) -> Result<Option<StartPosition>, HandlerError> {
        say(format_args!("B {}", partition.partition_id()));
        Ok(None)
    }

    async fn close(&self, partition: &PartitionContext, reason: CloseReason) -> Result<(), HandlerError> {
        say(format_args!("E {} {reason}", partition.partition_id()));
        Ok(())
    }

    async fn error(&self, failure: ProcessorFailure) {
        let partition = failure.partition_id.as_deref().unwrap_or("-");
        say(format_args!("F {partition} {:?} {}", failure.operation, failure.error));
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [connection_string, hub, storage, container, interval, expiry] = arguments.as_slice() else {
        panic!("usage: processor_member CONNECTION_STRING HUB STORAGE CONTAINER INTERVAL_MS EXPIRY_MS");
    };
    let millis = |text: &str| Duration::from_millis(text.parse().unwrap());
    let consumer = ConsumerClient::builder().connection_string(connection_string).event_hub(hub);
    let consumer = consumer.build().unwrap();
    let store = BlobStore::from_connection_string(storage, container).unwrap();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = stop.send(true);
    });
    // Where the store cannot be reached at the start it says so at once, and is started again.
    while !*stopped.borrow() {
        let processor = EventProcessor::builder(consumer.clone(), store.clone())
            .load_balancing_interval(millis(interval))
            .ownership_expiration(millis(expiry))
            .build()
            .unwrap();
        let mut statuses = processor.status();
        tokio::spawn(async move {
            while let Some(status) = statuses.next().await {
                if let ProcessorStatus::Claimed { partition, from } = status {
                    say(format_args!("K {partition} {}", from.as_deref().unwrap_or("-")));
                }
            }
        });
        let own = processor.clone();
        let run = tokio::spawn(async move { own.run(Scribe::default()).await });
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => ended,
            _ = stopped.changed() => {
                processor.stop().await;
                run.await
            }
        };
        match ended.unwrap() {
            Ok(()) => break,
            Err(error) => say(format_args!("F - start {error}")),
        }
        let _ = tokio::time::timeout(Duration::from_millis(500), stopped.changed()).await;
    }
    say("X");
}
