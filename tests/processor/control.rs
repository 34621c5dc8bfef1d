//! Pulling, pausing, seeking, lag, and checkpoints that are written by themselves.

use std::time::Duration;

use eventhubs::checkpoint::MemoryStore;
use eventhubs::processor::{AutoCheckpoint, CloseReason, PartitionClient, ProcessorStatus};
use eventhubs::{ErrorKind, ReceivedEvent, StartPosition};

use crate::group::{INTERVAL, Notes, Scribe, builder, fill, has_all, join, join_with, until};
use crate::stores::{Faulty, Trouble};
use crate::support::{soon, start, test};

async fn take(client: &mut PartitionClient, count: usize) -> Vec<i64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(soon(client.next()).await.unwrap().unwrap().sequence_number());
    }
    numbers
}

#[test]
async fn partitions_are_pulled_and_end_with_the_processor() {
    let (running, store) = (start().await, Faulty::default());
    let _ = fill(&running, 3, "x").await;
    let policy = AutoCheckpoint::never().on_close();
    let processor = builder(&running, store.clone()).auto_checkpoint(policy).build().unwrap();
    let mut clients = Vec::new();
    while clients.len() < 4 {
        clients.push(soon(processor.next_partition()).await.unwrap().unwrap());
    }
    for client in &mut clients {
        assert_eq!(take(client, 3).await, [0, 1, 2]);
    }
    let (mut first, second) = (clients.remove(0), clients.remove(0));
    let (first_id, second_id) = (first.partition_id().to_owned(), second.partition_id().to_owned());
    // The stop waits for those who work.
    let stopping = tokio::spawn({
        let processor = processor.clone();
        async move { processor.stop().await }
    });
    assert!(soon(first.next()).await.is_none());
    assert_eq!(first.closing(), Some(CloseReason::Shutdown));
    assert_eq!(store.numbers(&first_id), [2], "asking for the next said that all was processed");
    drop((first, second, clients));
    soon(stopping).await.unwrap();
    assert!(store.numbers(&second_id).is_empty(), "nobody said that its last event was processed");
    assert!(soon(processor.next_partition()).await.unwrap().is_none());
}

#[test]
async fn a_partition_that_another_takes_ends_with_an_error_and_takes_no_more_checkpoints() {
    let (running, store) = (start().await, Faulty::default());
    let _ = fill(&running, 2, "x").await;
    let processor = builder(&running, store.clone()).build().unwrap();
    let mut clients: Vec<(PartitionClient, ReceivedEvent)> = Vec::new();
    while clients.len() < 4 {
        let mut client = soon(processor.next_partition()).await.unwrap().unwrap();
        let event = soon(client.next()).await.unwrap().unwrap();
        clients.push((client, event));
    }
    let other = join(builder(&running, store.clone()));
    until("its share", || clients.iter().filter(|(client, _)| client.closing().is_some()).count() == 2).await;
    let (lost, kept): (Vec<_>, Vec<_>) =
        clients.into_iter().partition(|(client, _)| client.closing().is_some());
    for (mut client, event) in lost {
        until("what the other writes", || store.numbers(client.partition_id()) == [1]).await;
        let error = soon(client.checkpoint(&event)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OwnershipLost);
        // What had arrived before is not handed out any more.
        let error = soon(client.next()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OwnershipLost, "{error}");
        assert!(soon(client.next()).await.is_none());
        assert_eq!(store.numbers(client.partition_id()), [1], "an old checkpoint was written over a new one");
    }
    for (client, event) in kept {
        soon(client.checkpoint(&event)).await.unwrap();
        let foreign = soon(other.processor.partitions()[0].checkpoint(&event)).await.unwrap_err();
        assert_eq!(foreign.kind(), ErrorKind::InvalidArgument);
    }
    other.stop().await;
    soon(processor.stop()).await;
}

#[test]
async fn a_pulled_partition_that_is_dropped_is_free() {
    let running = start().await;
    let processor = builder(&running, MemoryStore::new()).build().unwrap();
    let mut statuses = processor.status();
    let client = soon(processor.next_partition()).await.unwrap().unwrap();
    let id = client.partition_id().to_owned();
    drop(client);
    let reason = soon(async {
        loop {
            if let Some(ProcessorStatus::Closed { partition, reason }) = statuses.next().await {
                assert_eq!(partition, id);
                return reason;
            }
        }
    });
    assert_eq!(reason.await, CloseReason::GivenUp);
    // It comes again, as nobody else is there.
    soon(async {
        loop {
            let client = processor.next_partition().await.unwrap().unwrap();
            if client.partition_id() == id {
                return;
            }
            std::mem::forget(client);
        }
    })
    .await;
}

#[test]
async fn a_partition_pauses_resumes_and_goes_elsewhere() {
    let running = start().await;
    let member = join(builder(&running, MemoryStore::new()));
    until("everything", || member.held().len() == 4).await;
    member.processor.pause("1").unwrap();
    assert!(member.processor.partition("1").unwrap().is_paused());
    let texts = fill(&running, 4, "x").await;
    let others: Vec<String> = texts.iter().filter(|text| !text.starts_with("x-1")).cloned().collect();
    until("the others", || has_all(&[&member.notes], &others)).await;
    assert!(member.notes.numbers("1").is_empty());
    let lag = soon(member.processor.lag()).await.unwrap();
    assert_eq!(lag.events, 4, "{lag:?}");
    assert_eq!(lag.partitions[1].events, 4);
    assert_eq!(
        (lag.partitions[0].events, lag.partitions[0].processed, lag.partitions[0].last),
        (0, Some(3), 3)
    );
    member.processor.resume("1").unwrap();
    until("the rest", || member.notes.numbers("1") == [0, 1, 2, 3]).await;
    member.processor.seek("1", StartPosition::sequence_number(2).inclusive()).unwrap();
    until("the same again", || member.notes.numbers("1") == [0, 1, 2, 3, 2, 3]).await;
    member.processor.pause("2").unwrap();
    member.processor.seek("2", StartPosition::earliest()).unwrap();
    member.processor.resume("2").unwrap();
    until("everything again", || member.notes.numbers("2") == [0, 1, 2, 3, 0, 1, 2, 3]).await;
    let error = member.processor.pause("7").unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::InvalidArgument, "partition '7' is not processed here")
    );
    member.stop().await;
}

#[test]
async fn checkpoints_write_themselves_forward_only_and_come_again_when_they_fail() {
    let (running, store) = (start().await, Faulty::default());
    let policy = AutoCheckpoint::never().every_events(10).every(Duration::from_millis(300)).on_close();
    let notes = Notes::default();
    let scribe = Scribe { notes: notes.clone(), checkpoints: false };
    let builder = builder(&running, store.clone()).auto_checkpoint(policy).max_batch(5);
    let member = join_with(builder, notes, scribe);
    let texts = fill(&running, 25, "x").await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    until("the time's", || ["0", "1", "2", "3"].iter().all(|id| store.numbers(id).last() == Some(&24))).await;
    store.set(Trouble { failing_checkpoints: true, ..Trouble::default() });
    let _ = fill(&running, 10, "y").await;
    until("failures", || {
        let failures = member.notes.failures(eventhubs::processor::Operation::WriteCheckpoint);
        ["0", "1", "2", "3"]
            .iter()
            .all(|id| failures.iter().any(|(failed, _)| failed.as_deref() == Some(*id)))
    })
    .await;
    store.set(Trouble::default());
    until("what was due", || ["0", "1", "2", "3"].iter().all(|id| store.numbers(id).last() == Some(&34)))
        .await;
    let _ = fill(&running, 1, "z").await;
    until("the last", || ["0", "1", "2", "3"].iter().all(|id| member.notes.numbers(id).len() == 36)).await;
    member.stop().await;
    for id in ["0", "1", "2", "3"] {
        let numbers = store.numbers(id);
        assert_eq!(numbers.last(), Some(&35), "on close");
        assert!(numbers.is_sorted() && numbers.len() < 12, "{numbers:?}");
    }
    assert!(store.written().iter().all(|written| written.position().is_ok()));
}

#[test]
async fn who_pulls_gets_a_checkpoint_after_exactly_so_many_events() {
    let (running, store) = (start().await, Faulty::default());
    let _ = fill(&running, 25, "x").await;
    let policy = AutoCheckpoint::never().every_events(10);
    let processor = builder(&running, store.clone()).auto_checkpoint(policy).build().unwrap();
    let mut client = soon(processor.next_partition()).await.unwrap().unwrap();
    let id = client.partition_id().to_owned();
    assert_eq!(take(&mut client, 10).await.last(), Some(&9));
    assert_eq!(client.last_processed(), Some(8), "the tenth is being worked on");
    assert!(store.numbers(&id).is_empty());
    // Asking for the eleventh says that the tenth is done.
    let _ = take(&mut client, 1).await;
    until("the first", || store.numbers(&id) == [9]).await;
    let _ = take(&mut client, 10).await;
    until("the second", || store.numbers(&id) == [9, 19]).await;
    drop(client);
    soon(processor.stop()).await;
    assert_eq!(store.numbers(&id), [9, 19]);
}

#[test]
async fn a_pause_and_a_seek_hold_for_events_that_lie_ready() {
    let (running, store) = (start().await, Faulty::default());
    let _ = fill(&running, 10, "x").await;
    let processor = builder(&running, store.clone()).build().unwrap();
    let mut client = soon(processor.next_partition()).await.unwrap().unwrap();
    assert_eq!(take(&mut client, 2).await, [0, 1]);
    client.pause();
    let next = async {
        tokio::select! {
            biased;
            event = client.next() => Some(event),
            () = tokio::time::sleep(INTERVAL) => None,
        }
    };
    assert!(next.await.is_none(), "it is paused");
    client.resume();
    assert_eq!(take(&mut client, 1).await, [2]);
    client.seek(StartPosition::sequence_number(6));
    assert_eq!(take(&mut client, 1).await, [7]);
    drop(client);
    soon(processor.stop()).await;
}

#[test]
async fn what_is_being_written_when_somebody_goes_elsewhere_holds_up_no_checkpoint_from_there() {
    let (running, store) = (start().await, Faulty::default());
    let _ = fill(&running, 6, "x").await;
    let processor = builder(&running, store.clone()).build().unwrap();
    let mut client = soon(processor.next_partition()).await.unwrap().unwrap();
    let id = client.partition_id().to_owned();
    let mut events = Vec::new();
    while events.len() < 6 {
        events.push(soon(client.next()).await.unwrap().unwrap());
    }
    store.set(Trouble { delay: INTERVAL, ..Trouble::default() });
    let (context, last) = (client.context().clone(), events[5].clone());
    let writing = tokio::spawn(async move { context.checkpoint(&last).await });
    until("its way", || store.calls() > 0).await;
    client.seek(StartPosition::earliest());
    let first = soon(client.next()).await.unwrap().unwrap();
    assert_eq!(first.sequence_number(), 0);
    soon(writing).await.unwrap().unwrap();
    soon(client.checkpoint(&first)).await.unwrap();
    assert_eq!(store.numbers(&id), [5, 0]);
    drop(client);
    soon(processor.stop()).await;
}

#[test]
async fn what_a_capped_group_leaves_over_is_read_by_nobody_until_somebody_comes() {
    let (running, store) = (start().await, MemoryStore::new());
    let capped = join(builder(&running, store.clone()).max_partitions(1));
    until("one", || capped.held().len() == 1).await;
    tokio::time::sleep(INTERVAL * 5).await;
    assert_eq!(capped.held().len(), 1);
    let other = join(builder(&running, store));
    until("the rest", || other.held().len() == 3).await;
    assert_eq!(capped.held().len(), 1);
    capped.stop().await;
    other.stop().await;
}
