use std::future::ready;

use futures::future::BoxFuture;

use super::super::{Checkpoint, ConsumerGroup, MemoryStore, Ownership, Records};
use super::*;
use crate::error::ErrorKind;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_every_promise() {
    let memory = MemoryStore::new();
    let kept = check(async || Ok(memory.clone())).await.unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(kept.len(), 22);
}

/// A store with one fault; the suite has to see it.
struct Faulty {
    inner: MemoryStore,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Claims are not checked against the record.
    ClaimsAlwaysWin,
    /// A lost race is an error.
    LostIsAnError,
    /// Names are taken by the letter.
    CaseMatters,
    /// All groups of a hub are one.
    GroupsMix,
    /// A checkpoint without a position is taken.
    EmptyCheckpoints,
    /// Checkpoints only go forward.
    Monotonic,
    /// What is won has the etag of the claim.
    SameEtag,
    /// A listing ends after so many.
    OnePage,
    /// A first claim with an etag is won.
    StaleEtags,
    /// It never answers.
    Silent,
}

const FAULTS: [(Fault, &str); 10] = [
    (Fault::ClaimsAlwaysWin, "a claim without an etag is won only where there is no record"),
    (Fault::LostIsAnError, "a claim with the etag of the record is won, one with any other is lost"),
    (Fault::CaseMatters, "names in another case are the same group"),
    (Fault::GroupsMix, "namespaces, hubs and groups are apart"),
    (Fault::EmptyCheckpoints, "an offset alone or a sequence number alone is enough, and neither is refused"),
    (Fault::Monotonic, "a checkpoint takes the place of the one before, even one that lies ahead"),
    (Fault::SameEtag, "a claim with the etag of the record is won, one with any other is lost"),
    (Fault::OnePage, "a thousand partitions are claimed, renewed and listed"),
    (Fault::StaleEtags, "a claim without an etag is won only where there is no record"),
    (Fault::Silent, "a group that nobody has read in is empty"),
];

impl Faulty {
    fn group(&self, group: &ConsumerGroup) -> ConsumerGroup {
        let mut group = group.clone();
        match self.fault {
            Fault::CaseMatters => group.name = format!("{:?}", group.name.as_bytes()),
            Fault::GroupsMix => group.name = "one".into(),
            _ => {}
        }
        group
    }

    async fn listed(&self, group: &ConsumerGroup) -> Records<Ownership> {
        self.inner.list_ownership(group).await.unwrap()
    }
}

impl CheckpointStore for Faulty {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            if self.fault == Fault::Silent {
                std::future::pending::<()>().await;
            }
            let mut listed = self.listed(&self.group(group)).await;
            if self.fault == Fault::OnePage {
                listed.records.truncate(1_000);
            }
            Ok(listed)
        })
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let group = self.group(group);
            let known = self.listed(&group).await.records;
            let mut claims = claims.to_vec();
            for claim in &mut claims {
                let known = known.iter().find(|known| known.partition_id == claim.partition_id);
                match (self.fault, known) {
                    (Fault::ClaimsAlwaysWin, known) => {
                        claim.etag = known.and_then(|known| known.etag.clone())
                    }
                    (Fault::StaleEtags, None) => claim.etag = None,
                    _ => {}
                }
            }
            let mut won = self.inner.claim_ownership(&group, &claims).await?;
            if self.fault == Fault::LostIsAnError && won.records.len() < claims.len() {
                return Err(Error::new(ErrorKind::Rejected, "somebody else was faster"));
            }
            if self.fault == Fault::SameEtag {
                won.records.iter_mut().zip(claims).for_each(|(won, claim)| won.etag = claim.etag);
            }
            Ok(won)
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        Box::pin(async move { self.inner.list_checkpoints(&self.group(group)).await })
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        if self.fault == Fault::EmptyCheckpoints && checkpoint.position().is_err() {
            return Box::pin(ready(Ok(())));
        }
        Box::pin(async move {
            let group = self.group(group);
            let known = self.inner.list_checkpoints(&group).await?.records;
            let former = known.iter().find(|known| known.partition_id == checkpoint.partition_id);
            if self.fault == Fault::Monotonic && former.is_some_and(|former| checkpoint.is_behind(former)) {
                return Ok(());
            }
            self.inner.update_checkpoint(&group, checkpoint).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_with_a_fault_is_found_out() {
    for (fault, promise) in FAULTS {
        let inner = MemoryStore::new();
        let open = async || Ok(Faulty { inner: inner.clone(), fault });
        let broken = check(open).await.expect_err(&format!("{fault:?} was not seen"));
        assert!(broken.iter().any(|violation| violation.promise == promise), "{fault:?}: {broken}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_said_to_be_so() {
    let open = async || Err::<MemoryStore, _>(Error::new(ErrorKind::NotFound, "no such place"));
    let broken = check(open).await.unwrap_err().to_string();
    assert!(broken.contains("can be opened") && broken.contains("no such place"), "{broken}");
}
