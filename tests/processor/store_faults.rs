//! Stores that are slow, fail, do not answer, panic, or hold what is no record.

use std::time::Duration;

use eventhubs::ErrorKind;
use eventhubs::checkpoint::CheckpointStore;
use eventhubs::processor::{CloseReason, Operation};

use crate::group::{EXPIRY, INTERVAL, builder, fill, group, has_all, join, until};
use crate::stores::{Faulty, Trouble};
use crate::support::{start, test};

#[test]
async fn a_store_that_is_away_for_less_than_the_expiry_costs_nothing() {
    let (running, store) = (start().await, Faulty::default());
    let member = join(builder(&running, store.clone()));
    until("everything", || member.held().len() == 4).await;
    store.set(Trouble { fails: true, ..Trouble::default() });
    until("several failures", || member.notes.failures(Operation::RenewOwnership).len() >= 3).await;
    let (_, error) = member.notes.failures(Operation::RenewOwnership).remove(0);
    assert_eq!(error.kind(), ErrorKind::ConnectFailed);
    assert!(error.to_string().contains("cannot renew ownerships of 'localhost/orders/$Default'"), "{error}");
    store.set(Trouble::default());
    let texts = fill(&running, 3, "after").await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    let notes = member.stop().await;
    for partition in ["0", "1", "2", "3"] {
        assert_eq!(notes.reasons(partition), [CloseReason::Shutdown]);
    }
}

#[test]
async fn a_store_that_does_not_answer_ends_the_work_at_the_expiry_and_it_goes_on_afterwards() {
    let (running, store) = (start().await, Faulty::default());
    let member = join(builder(&running, store.clone()));
    until("everything", || member.held().len() == 4).await;
    store.set(Trouble { hangs: true, ..Trouble::default() });
    until("the end of the work", || {
        ["0", "1", "2", "3"].iter().all(|id| member.notes.reasons(id) == [CloseReason::OwnershipExpired])
    })
    .await;
    assert!(member.held().is_empty());
    let (_, error) = member.notes.failures(Operation::RenewOwnership).remove(0);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    store.set(Trouble::default());
    let texts = fill(&running, 3, "after").await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    member.stop().await;
}

#[test]
async fn one_ownership_that_cannot_be_renewed_costs_no_other() {
    let (running, store) = (start().await, Faulty::default());
    let member = join(builder(&running, store.clone()));
    until("everything", || member.held().len() == 4).await;
    store.set(Trouble { hanging_claim: Some("2".into()), ..Trouble::default() });
    until("the loss", || member.notes.reasons("2") == [CloseReason::OwnershipExpired]).await;
    assert_eq!(member.held(), ["0", "1", "3"]);
    until("a failure of its own", || {
        member.notes.failures(Operation::RenewOwnership).iter().any(|(id, _)| id.as_deref() == Some("2"))
    })
    .await;
    // The others are renewed for longer than they would last.
    tokio::time::sleep(EXPIRY).await;
    assert_eq!(member.held(), ["0", "1", "3"]);
    store.set(Trouble::default());
    until("everything again", || member.held().len() == 4).await;
    member.stop().await;
}

#[test]
async fn a_slow_store_slows_down_no_events() {
    let (running, store) = (start().await, Faulty::default());
    store.set(Trouble { delay: INTERVAL, ..Trouble::default() });
    let member = join(builder(&running, store.clone()).store_timeout(EXPIRY / 3));
    until("everything", || member.held().len() == 4).await;
    let texts = fill(&running, 20, "slow").await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    for partition in ["0", "1", "2", "3"] {
        assert_eq!(member.notes.numbers(partition), (0..20).collect::<Vec<_>>());
    }
    assert!(member.notes.failures(Operation::RenewOwnership).is_empty());
    member.stop().await;
}

#[test]
async fn a_checkpoint_that_cannot_be_understood_holds_up_its_partition_only() {
    let (running, store) = (start().await, Faulty::default());
    let texts = fill(&running, 3, "x").await;
    store.set(Trouble { corrupt_checkpoint: Some("1".into()), ..Trouble::default() });
    let member = join(builder(&running, store.clone()));
    let others: Vec<String> = texts.iter().filter(|text| !text.starts_with("x-1")).cloned().collect();
    until("the others", || has_all(&[&member.notes], &others)).await;
    until("the failure", || !member.notes.failures(Operation::ReadCheckpoint).is_empty()).await;
    let (id, error) = member.notes.failures(Operation::ReadCheckpoint).remove(0);
    assert_eq!((id.as_deref(), error.message()), (Some("1"), "the record is no record"));
    assert!(member.notes.numbers("1").is_empty(), "it began somewhere");
    store.set(Trouble::default());
    until("all", || has_all(&[&member.notes], &texts)).await;
    member.stop().await;
}

#[test]
async fn an_ownership_that_cannot_be_understood_is_written_anew() {
    let (running, store) = (start().await, Faulty::default());
    let first = join(builder(&running, store.clone()));
    until("everything", || first.held().len() == 4).await;
    first.stop().await;
    store.set(Trouble { corrupt_ownership: Some("3".into()), ..Trouble::default() });
    let member = join(builder(&running, store.clone()));
    until("everything", || member.held().len() == 4).await;
    assert!(!member.notes.failures(Operation::ListOwnership).is_empty());
    // It is held although its record is listed as broken again and again.
    let texts = fill(&running, 3, "x").await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    assert!(member.notes.reasons("3").is_empty());
    member.stop().await;
}

#[test]
async fn a_checkpoint_that_is_not_written_is_told_and_holds_up_its_partition_only() {
    let (running, store) = (start().await, Faulty::default());
    store.set(Trouble { hanging_checkpoint: Some("0".into()), ..Trouble::default() });
    let member = join(builder(&running, store.clone()).store_timeout(Duration::from_millis(200)));
    let texts = fill(&running, 5, "x").await;
    let others: Vec<String> = texts.iter().filter(|text| !text.starts_with("x-0")).cloned().collect();
    until("the others", || has_all(&[&member.notes], &others)).await;
    // The handler got the error, and failed with it.
    until("the failure", || !member.notes.failures(Operation::Process).is_empty()).await;
    let (id, error) = member.notes.failures(Operation::Process).remove(0);
    assert_eq!(id.as_deref(), Some("0"));
    assert!(error.message().contains("has not answered within 200ms"), "{error}");
    store.set(Trouble::default());
    until("a checkpoint", || store.numbers("0").last() == Some(&4)).await;
    member.stop().await;
}

#[test]
async fn a_store_that_panics_is_a_store_that_fails() {
    let (running, store) = (start().await, Faulty::default());
    let member = join(builder(&running, store.clone()));
    until("everything", || member.held().len() == 4).await;
    store.set(Trouble { panics: true, ..Trouble::default() });
    until("failures", || member.notes.failures(Operation::ListOwnership).len() >= 2).await;
    let (_, error) = member.notes.failures(Operation::ListOwnership).remove(0);
    assert!(error.message().contains("panicked: the store's own mistake"), "{error}");
    store.set(Trouble::default());
    let texts = fill(&running, 2, "x").await;
    until("all events", || has_all(&[&member.notes], &texts)).await;
    member.stop().await;
    let released = store.list_ownership(&group()).await.unwrap().records;
    assert!(released.iter().all(eventhubs::checkpoint::Ownership::is_released));
}
