//! Members that die without a word.

use std::time::{Duration, Instant};

use eventhubs::checkpoint::MemoryStore;
use eventhubs::processor::Strategy;

use crate::group::{EXPIRY, INTERVAL, Notes, Scribe, builder, fill, has_all, join, until};
use crate::support::{start, test};

#[test]
async fn what_a_killed_member_held_is_taken_when_it_expires_and_resumed_at_its_checkpoints() {
    let (running, store) = (start().await, MemoryStore::new());
    let first = fill(&running, 4, "first").await;
    // A runtime of its own, so that all of it can end between two instructions.
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let notes = Notes::default();
    let processor = builder(&running, store.clone()).strategy(Strategy::Greedy).build().unwrap();
    let (own, scribe) = (processor.clone(), Scribe { notes: notes.clone(), checkpoints: true });
    doomed.spawn(async move { own.run(scribe).await });
    until("all events", || has_all(&[&notes], &first)).await;
    let heir = join(builder(&running, store).strategy(Strategy::Greedy));
    until("halves", || heir.held().len() == 2).await;
    doomed.shutdown_background();
    let killed = Instant::now();
    drop(processor);
    until("everything", || heir.held().len() == 4).await;
    let took = killed.elapsed();
    assert!(took + INTERVAL * 2 > EXPIRY, "taken from a living member: {took:?}");
    assert!(took < EXPIRY + INTERVAL * 2 + Duration::from_secs(2), "{took:?}");
    let second = fill(&running, 4, "second").await;
    until("the rest", || has_all(&[&heir.notes], &second)).await;
    let mut taken = heir.stop().await.texts();
    taken.sort();
    assert_eq!(taken, second, "nothing that was checkpointed comes again");
}
