//! What is wrong from the beginning is said at the beginning.

use std::time::Duration;

use eventhubs::checkpoint::MemoryStore;
use eventhubs::processor::{EventProcessor, Handlers};
use eventhubs::{ConsumerClient, Error, ErrorKind, RetryOptions, StartPosition};

use crate::group::{builder, join, until};
use crate::stores::{Faulty, Trouble};
use crate::support::{HUB, Running, soon, start, test};

async fn refused(processor: EventProcessor) -> Error {
    let handlers = Handlers::new(|_, _| async { Ok(()) });
    let error = soon(processor.run(handlers)).await.unwrap_err();
    // It can be tried again, and a pull says the same.
    assert_eq!(soon(processor.next_partition()).await.unwrap_err().kind(), error.kind());
    error
}

fn consumer(running: &Running, hub: &str, group: &str) -> ConsumerClient {
    ConsumerClient::builder()
        .connection_string(running.namespace())
        .event_hub(hub)
        .consumer_group(group)
        .retry(RetryOptions { max_attempts: 1, ..crate::support::impatient() })
        .build()
        .unwrap()
}

#[test]
async fn options_that_do_not_go_together_are_refused_at_once() {
    let running = start().await;
    let of = |change: fn(
        eventhubs::processor::EventProcessorBuilder,
    ) -> eventhubs::processor::EventProcessorBuilder| {
        let error = change(builder(&running, MemoryStore::new())).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.message().to_owned()
    };
    let said = of(|builder| {
        builder.load_balancing_interval(Duration::from_secs(60)).ownership_expiration(Duration::from_secs(60))
    });
    assert!(said.contains("expiration (60s) is not longer than the load-balancing interval (60s)"), "{said}");
    assert!(of(|builder| builder.load_balancing_interval(Duration::ZERO)).contains("interval is 0"));
    assert!(of(|builder| builder.store_timeout(Duration::from_secs(99))).contains("store timeout (99s)"));
    assert!(of(|builder| builder.max_partitions(0)).contains("at most 0 partitions"));
    assert!(of(|builder| builder.processor_id("")).contains("cannot be a processor's id"));
}

#[test]
async fn a_hub_group_or_partition_that_does_not_exist_is_said_at_once() {
    let running = start().await;
    let on = |hub, group| EventProcessor::builder(consumer(&running, hub, group), MemoryStore::new());
    let error = refused(on("nowhere", "$Default").build().unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = refused(on(HUB, "nobody").build().unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let strange = on(HUB, "$Default").from_in("9", StartPosition::latest()).build().unwrap();
    let error = refused(strange).await;
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("a position is given for partition '9'"), "{error}");
}

#[test]
async fn a_key_that_opens_nothing_is_said_at_once() {
    let running = start().await;
    let text = running.namespace();
    let at = text.find("SharedAccessKey=").unwrap() + "SharedAccessKey=".len();
    let end = text[at..].find(';').unwrap() + at;
    let wrong = format!("{}d3Jvbmc={}", &text[..at], &text[end..]);
    let consumer = ConsumerClient::builder()
        .connection_string(wrong)
        .event_hub(HUB)
        .retry(RetryOptions { max_attempts: 1, ..crate::support::impatient() });
    let processor = EventProcessor::builder(consumer.build().unwrap(), MemoryStore::new());
    assert_eq!(refused(processor.build().unwrap()).await.kind(), ErrorKind::Unauthorized);
}

#[test]
async fn a_store_that_cannot_be_read_is_said_at_once() {
    let (running, store) = (start().await, Faulty::default());
    store.set(Trouble { fails: true, ..Trouble::default() });
    let error = refused(builder(&running, store.clone()).build().unwrap()).await;
    assert_eq!((error.kind(), error.message()), (ErrorKind::ConnectFailed, "the store is away"));
    store.set(Trouble { hangs: true, ..Trouble::default() });
    let patient = builder(&running, store).store_timeout(Duration::from_millis(50));
    assert_eq!(refused(patient.build().unwrap()).await.kind(), ErrorKind::Timeout);
}

#[test]
async fn a_processor_that_was_stopped_stays_so_and_one_that_is_dropped_stops() {
    let (running, store) = (start().await, MemoryStore::new());
    let processor = builder(&running, store.clone()).build().unwrap();
    soon(processor.stop()).await;
    assert_eq!(refused(processor).await.kind(), ErrorKind::Closed);
    let member = join(builder(&running, store.clone()));
    until("everything", || member.held().len() == 4).await;
    // Who drops the future that runs it stops it.
    member.run.abort();
    let other = join(builder(&running, store));
    until("all of it", || other.held().len() == 4).await;
    until("the reason", || {
        member.notes.reasons("0").last() == Some(&eventhubs::processor::CloseReason::Shutdown)
    })
    .await;
    other.stop().await;
}
