//! Members come and go; partitions move; nothing is left out.

use eventhubs::checkpoint::{CheckpointStore, MemoryStore};
use eventhubs::processor::{CloseReason, ProcessorStatus, Strategy};

use crate::group::{Note, builder, fill, group, has_all, join, until};
use crate::support::{soon, start, test};

#[test]
async fn one_member_processes_everything_and_the_next_goes_on_behind_its_checkpoints() {
    let (running, store) = (start().await, MemoryStore::new());
    let first = fill(&running, 5, "first").await;
    let member = join(builder(&running, store.clone()));
    until("all events", || has_all(&[&member.notes], &first)).await;
    let notes = member.stop().await;
    for partition in ["0", "1", "2", "3"] {
        assert_eq!(notes.numbers(partition), [0, 1, 2, 3, 4]);
        assert_eq!(notes.reasons(partition), [CloseReason::Shutdown]);
    }
    let released = store.list_ownership(&group()).await.unwrap().records;
    assert_eq!(released.iter().filter(|record| record.is_released()).count(), 4);
    let second = fill(&running, 3, "second").await;
    let member = join(builder(&running, store));
    until("the rest", || has_all(&[&member.notes], &second)).await;
    let mut taken = member.stop().await.texts();
    taken.sort();
    assert_eq!(taken, second, "nothing twice");
}

#[test]
async fn three_members_share_and_what_one_leaves_the_others_take_at_once() {
    for strategy in [Strategy::Balanced, Strategy::Greedy] {
        let (running, store) = (start().await, MemoryStore::new());
        let members: Vec<_> =
            (0..3).map(|_| join(builder(&running, store.clone()).strategy(strategy))).collect();
        let counts = || {
            let mut counts: Vec<usize> = members.iter().map(|member| member.held().len()).collect();
            counts.sort_unstable();
            counts
        };
        until("fair shares", || counts() == [1, 1, 2]).await;
        let texts = fill(&running, 4, "shared").await;
        let all: Vec<_> = members.iter().map(|member| &member.notes).collect();
        until("all events", || has_all(&all, &texts)).await;
        soon(members[0].processor.stop()).await;
        until("fair shares of two", || counts() == [0, 2, 2]).await;
        let more = fill(&running, 4, "later").await;
        until("the later events", || has_all(&all[1..], &more)).await;
        for member in members {
            soon(member.processor.stop()).await;
            soon(member.run).await.unwrap().unwrap();
        }
    }
}

#[test]
async fn who_joins_takes_its_share_and_the_loser_is_told() {
    let (running, store) = (start().await, MemoryStore::new());
    let first = join(builder(&running, store.clone()));
    until("everything", || first.held().len() == 4).await;
    let mut statuses = first.processor.status();
    let second = join(builder(&running, store));
    until("halves", || first.held().len() == 2 && second.held().len() == 2).await;
    let lost: Vec<String> = second.held();
    until("the hooks", || {
        lost.iter().all(|partition| first.notes.reasons(partition) == [CloseReason::OwnershipLost])
    })
    .await;
    let mut closed = Vec::new();
    while closed.len() < 2 {
        if let ProcessorStatus::Closed { partition, reason } = soon(statuses.next()).await.unwrap() {
            assert_eq!(reason, CloseReason::OwnershipLost);
            closed.push(partition);
        }
    }
    closed.sort();
    assert_eq!(closed, lost);
    let texts = fill(&running, 5, "x").await;
    until("all events", || has_all(&[&first.notes, &second.notes], &texts)).await;
    let began = second.notes.all().into_iter().filter(|note| matches!(note, Note::Began)).count();
    assert_eq!(began, 2, "no more moves than needed");
    first.stop().await;
    second.stop().await;
}
