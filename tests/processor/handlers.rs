//! Handlers that fail, panic, are slow, or begin elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use eventhubs::StartPosition;
use eventhubs::checkpoint::{Checkpoint, CheckpointStore, MemoryStore};
use eventhubs::processor::{CloseReason, HandlerFailure, Handlers, Operation};

use crate::group::{Note, Notes, builder, fill, group, has_all, join, join_with, until};
use crate::support::{start, test};

/// Closures that note everything down, and do something about each batch of partition 0 before.
fn failing(
    notes: &Notes,
    about: impl Fn(usize) -> Result<(), &'static str> + Send + Sync + 'static,
) -> Handlers {
    let (took, closed, failed) = (notes.clone(), notes.clone(), notes.clone());
    let calls = AtomicUsize::new(0);
    let about = Arc::new(about);
    Handlers::new(move |events, partition| {
        let call =
            if partition.partition_id() == "0" { Some(calls.fetch_add(1, Ordering::Relaxed)) } else { None };
        let (took, about) = (took.clone(), about.clone());
        async move {
            if let Some(call) = call {
                about(call)?;
            }
            took.took(&partition, &events);
            Ok(())
        }
    })
    .on_close(move |partition, reason| {
        closed.add(Note::Closed(partition.partition_id().to_owned(), reason));
        async { Ok(()) }
    })
    .on_error(move |failure| {
        failed.failed(failure);
        async {}
    })
}

#[test]
async fn events_that_could_not_be_processed_come_again() {
    let (running, notes) = (start().await, Notes::default());
    let texts = fill(&running, 3, "x").await;
    let handlers = failing(&notes, |call| match call {
        0 => Err("out of ink"),
        1 => panic!("paper jam"),
        _ => Ok(()),
    });
    let member = join_with(builder(&running, MemoryStore::new()), notes, handlers);
    until("all events", || has_all(&[&member.notes], &texts)).await;
    let notes = member.stop().await;
    assert_eq!(notes.numbers("0"), [0, 1, 2], "in order, and once");
    let failures = notes.failures(Operation::Process);
    assert!(failures.iter().all(|(id, _)| id.as_deref() == Some("0")));
    let said: Vec<&str> = failures.iter().map(|(_, error)| error.message()).collect();
    assert_eq!(said, ["the handler failed: out of ink", "the handler failed: it panicked: paper jam"]);
}

#[test]
async fn a_partition_goes_on_when_that_is_the_policy() {
    let (running, notes) = (start().await, Notes::default());
    let handlers = failing(&notes, |call| if call == 0 { Err("out of ink") } else { Ok(()) });
    let builder = builder(&running, MemoryStore::new()).on_handler_failure(HandlerFailure::GoOn).max_batch(1);
    let member = join_with(builder, notes, handlers);
    let _ = fill(&running, 3, "x").await;
    until("what follows", || member.notes.numbers("0") == [1, 2]).await;
    assert_eq!(member.stop().await.failures(Operation::Process).len(), 1);
}

#[test]
async fn a_partition_is_given_up_when_that_is_the_policy_and_begins_again() {
    let (running, notes) = (start().await, Notes::default());
    let texts = fill(&running, 3, "x").await;
    let handlers = failing(&notes, |call| if call == 0 { Err("out of ink") } else { Ok(()) });
    let builder = builder(&running, MemoryStore::new()).on_handler_failure(HandlerFailure::GiveUp);
    let member = join_with(builder, notes, handlers);
    until("the end", || member.notes.reasons("0") == [CloseReason::Failed]).await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    let notes = member.stop().await;
    assert_eq!(notes.numbers("0"), [0, 1, 2]);
    assert_eq!(notes.reasons("0"), [CloseReason::Failed, CloseReason::Shutdown]);
    assert_eq!(notes.reasons("1"), [CloseReason::Shutdown]);
}

#[test]
async fn a_slow_handler_holds_up_its_own_partition_only() {
    let (running, notes) = (start().await, Notes::default());
    let texts = fill(&running, 3, "x").await;
    let (own, is_free) = (notes.clone(), Arc::new(AtomicBool::new(false)));
    let gate = is_free.clone();
    let handlers = Handlers::new(move |events, partition| {
        let (own, gate) = (own.clone(), gate.clone());
        async move {
            if partition.partition_id() == "0" {
                until("the gate", || gate.load(Ordering::Relaxed)).await;
            }
            own.took(&partition, &events);
            Ok(())
        }
    });
    let member = join_with(builder(&running, MemoryStore::new()), notes, handlers);
    let others: Vec<String> = texts.iter().filter(|text| !text.starts_with("x-0")).cloned().collect();
    until("the others", || has_all(&[&member.notes], &others)).await;
    // It stays owned for longer than it would last without being renewed.
    tokio::time::sleep(crate::group::EXPIRY).await;
    assert_eq!(member.held().len(), 4);
    assert!(member.notes.numbers("0").is_empty());
    is_free.store(true, Ordering::Relaxed);
    until("all", || has_all(&[&member.notes], &texts)).await;
    member.stop().await;
}

#[test]
async fn initialize_may_begin_elsewhere_and_knows_the_checkpoint() {
    let (running, notes, store) = (start().await, Notes::default(), MemoryStore::new());
    let _ = fill(&running, 6, "x").await;
    store.update_checkpoint(&group(), &Checkpoint::new("1", "", 2)).await.unwrap();
    let own = notes.clone();
    let handlers = Handlers::new(move |events, partition| {
        own.took(&partition, &events);
        async { Ok(()) }
    })
    .on_initialize(|partition| async move {
        let stored = partition.starting_checkpoint().and_then(|checkpoint| checkpoint.sequence_number);
        Ok(match (partition.partition_id(), stored) {
            ("0", None) => Some(StartPosition::sequence_number(4)),
            ("1", Some(2)) => Some(StartPosition::sequence_number(4).inclusive()),
            ("2", None) => None,
            ("3", None) => return Err("not this one".into()),
            other => panic!("{other:?}"),
        })
    });
    let member = join_with(builder(&running, store), notes, handlers);
    let mut statuses = member.processor.status();
    until("the events", || {
        let taken = ["0", "1", "2"].map(|id| member.notes.numbers(id).last().copied());
        taken == [Some(5); 3]
    })
    .await;
    assert_eq!((member.notes.numbers("0"), member.notes.numbers("1")), (vec![5], vec![4, 5]));
    assert_eq!(member.notes.numbers("2"), [0, 1, 2, 3, 4, 5]);
    let failed = async {
        loop {
            if let Some(eventhubs::processor::ProcessorStatus::Failed(failure)) = statuses.next().await {
                return failure;
            }
        }
    };
    let failure = crate::support::soon(failed).await;
    assert_eq!((failure.partition_id.as_deref(), failure.operation), (Some("3"), Operation::Initialize));
    assert!(member.notes.numbers("3").is_empty());
    member.stop().await;
}

#[test]
async fn a_handler_that_does_not_end_does_not_keep_the_processor_from_stopping() {
    let (running, notes) = (start().await, Notes::default());
    let _ = fill(&running, 1, "x").await;
    let failed = notes.clone();
    let is_in = Arc::new(AtomicBool::new(false));
    let entered = is_in.clone();
    let handlers = Handlers::new(move |_, partition| {
        let entered = entered.clone();
        async move {
            if partition.partition_id() == "2" {
                entered.store(true, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    })
    .on_error(move |failure| {
        failed.failed(failure);
        async {}
    });
    let store = MemoryStore::new();
    let member = join_with(builder(&running, store.clone()), notes, handlers);
    until("the call", || is_in.load(Ordering::Relaxed) && member.held().len() == 4).await;
    let notes = member.stop().await;
    let (id, error) = notes.failures(Operation::Close).remove(0);
    assert_eq!(id.as_deref(), Some("2"));
    assert!(error.message().contains("left to expire"), "{error}");
    let records = store.list_ownership(&group()).await.unwrap().records;
    let released: Vec<bool> = records.iter().map(eventhubs::checkpoint::Ownership::is_released).collect();
    assert_eq!(released, [true, true, false, true]);
    // Another takes it when it has expired.
    let other = join(builder(&running, store));
    until("all", || other.held().len() == 4).await;
    other.stop().await;
}
