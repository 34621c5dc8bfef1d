//! Members whose process stands still (a stopped process, a machine that slept, a handler that blocks its thread) while others take
//! what they had.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use eventhubs::ErrorKind;
use eventhubs::checkpoint::{Checkpoint, CheckpointStore};
use eventhubs::processor::{CloseReason, EventProcessorBuilder, Handlers, PartitionClient};

use crate::group::{Notes, builder, fill, group, has_all, join_with, until};
use crate::stores::Faulty;
use crate::support::{soon, start, test};

/// What nobody takes for a busy machine.
const STILL: Duration = Duration::from_millis(1_200);
/// So that nothing expires meanwhile: others take from who lives, too.
const LONG: Duration = Duration::from_secs(60);

/// Somebody takes a partition, reads to its end, and says so.
async fn steal(store: &Faulty, partition: &str, last: i64) {
    let records = store.inner.list_ownership(&group()).await.unwrap().records;
    let record = records.into_iter().find(|record| record.partition_id == partition).unwrap();
    let won = store.inner.claim_ownership(&group(), &[record.claimed_by("somebody")]).await.unwrap();
    assert_eq!(won.records.len(), 1);
    let checkpoint = Checkpoint::new(partition, last.to_string(), last);
    store.inner.update_checkpoint(&group(), &checkpoint).await.unwrap();
}

async fn checkpointed(store: &Faulty, partition: &str) -> Option<i64> {
    let listed = store.inner.list_checkpoints(&group()).await.unwrap().records;
    listed.into_iter().find(|record| record.partition_id == partition)?.sequence_number
}

/// All partitions, with the first event of each.
async fn pull_all(
    builder: EventProcessorBuilder,
) -> (eventhubs::processor::EventProcessor, Vec<(PartitionClient, eventhubs::ReceivedEvent)>) {
    let processor = builder.ownership_expiration(LONG).build().unwrap();
    let mut clients = Vec::new();
    while clients.len() < 4 {
        let mut client = soon(processor.next_partition()).await.unwrap().unwrap();
        let event = soon(client.next()).await.unwrap().unwrap();
        assert_eq!(event.sequence_number(), 0);
        clients.push((client, event));
    }
    clients.sort_by_key(|(client, _)| client.partition_id().to_owned());
    (processor, clients)
}

/// A thread that the member has for itself, so that all of it stands still when one future does.
fn alone<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    })
}

#[test]
async fn who_stood_still_hands_out_nothing_of_what_was_taken_meanwhile_and_goes_on_with_the_rest() {
    let (running, store) = (start().await, Faulty::default());
    let _ = fill(&running, 5, "x").await;
    let (awake, is_awake) = tokio::sync::oneshot::channel();
    let (wake, waking) = mpsc::channel::<()>();
    let (builder, own) = (builder(&running, store.clone()), store.clone());
    let member = alone(async move {
        let (processor, mut clients) = pull_all(builder).await;
        awake.send(()).unwrap();
        // Events have arrived that were not handed out; the link's loss has not.
        waking.recv().unwrap();
        let (mut lost, event) = clients.remove(1);
        let error = soon(lost.next()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OwnershipLost, "{error}");
        assert!(soon(lost.next()).await.is_none());
        let error = soon(lost.checkpoint(&event)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OwnershipLost);
        let (kept, event) = &mut clients[0];
        assert_eq!(soon(kept.next()).await.unwrap().unwrap().sequence_number(), 1);
        soon(kept.checkpoint(event)).await.unwrap();
        assert_eq!(checkpointed(&own, "0").await, Some(0));
        drop((clients, lost));
        soon(processor.stop()).await;
    });
    is_awake.await.unwrap();
    let begin = Instant::now();
    steal(&store, "1", 4).await;
    until("long enough", || begin.elapsed() > STILL).await;
    wake.send(()).unwrap();
    member.await.unwrap();
    assert_eq!(checkpointed(&store, "1").await, Some(4), "the group was put back");
}

#[test]
async fn a_handler_that_blocked_its_thread_for_long_writes_no_checkpoint_over_another_s() {
    let (running, store) = (start().await, Faulty::default());
    let texts = fill(&running, 5, "x").await;
    let (entered, has_entered) = mpsc::channel();
    let (wake, waking) = mpsc::channel::<()>();
    let notes = Notes::default();
    let (own, checkpoints) = (notes.clone(), Notes::default());
    let told = checkpoints.clone();
    let waking = std::sync::Arc::new(std::sync::Mutex::new(Some(waking)));
    let handlers = Handlers::new(move |events, partition| {
        own.took(&partition, &events);
        let (told, entered, waking) = (told.clone(), entered.clone(), waking.clone());
        async move {
            if partition.partition_id() == "1"
                && let Some(waking) = waking.lock().unwrap().take()
            {
                entered.send(()).unwrap();
                waking.recv().unwrap();
            }
            match partition.checkpoint(events.last().unwrap()).await {
                Ok(()) => told.took(&partition, &events),
                Err(error) if error.kind() == ErrorKind::OwnershipLost => {}
                Err(error) => return Err(error.into()),
            }
            Ok(())
        }
    });
    let builder = builder(&running, store.clone()).max_batch(1).ownership_expiration(LONG);
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let member = alone(async move {
        let member = join_with(builder, notes, handlers);
        stopping.await.unwrap();
        member.stop().await
    });
    let has_entered = tokio::task::spawn_blocking(move || has_entered.recv().unwrap());
    soon(has_entered).await.unwrap();
    let begin = Instant::now();
    steal(&store, "1", 4).await;
    until("long enough", || begin.elapsed() > STILL).await;
    wake.send(()).unwrap();
    let others: Vec<String> = texts.iter().filter(|text| !text.starts_with("x-1")).cloned().collect();
    until("the others", || has_all(&[&checkpoints], &others)).await;
    stop.send(()).unwrap();
    let notes = member.await.unwrap();
    assert_eq!(notes.numbers("1"), [0], "only what it was at when it stood still");
    assert!(checkpoints.numbers("1").is_empty());
    assert_eq!(checkpointed(&store, "1").await, Some(4), "the group was put back");
    assert!(!notes.reasons("1").contains(&CloseReason::OwnershipExpired), "{:?}", notes.reasons("1"));
}
