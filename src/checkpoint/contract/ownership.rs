//! Promises about who owns what.

use std::time::Duration;

use super::Promise;
use super::stage::{Stage, same};
use crate::model::checkpoint::Ownership;
use crate::runtime::now;

pub(super) const PROMISES: &[Promise] = &[
    ("a group that nobody has read in is empty", |stage| Box::pin(empty(stage))),
    ("a claim without an etag is won only where there is no record", |stage| Box::pin(first_claims(stage))),
    ("a claim with the etag of the record is won, one with any other is lost", |stage| {
        Box::pin(etags(stage))
    }),
    ("what was won is what is listed", |stage| Box::pin(listed_as_won(stage))),
    ("the claims of one call are decided each by itself", |stage| Box::pin(mixed(stage))),
    ("of many that race for a free partition exactly one wins", |stage| Box::pin(free_races(stage))),
    ("of many that race with the same etag exactly one wins", |stage| Box::pin(etag_races(stage))),
    ("a partition that was given up is listed without an owner and can be claimed", |stage| {
        Box::pin(released(stage))
    }),
    ("a renewal's time is never earlier than the one before, and advances", |stage| Box::pin(times(stage))),
    ("a thousand partitions are claimed, renewed and listed", |stage| Box::pin(many(stage))),
    ("claims whose futures were dropped are won or not, and the partition can be claimed", |stage| {
        Box::pin(dropped(stage))
    }),
];

/// So many claim at the same time.
const CLAIMANTS: usize = 24;
/// How often they do.
const RACES: usize = 8;

async fn empty(stage: &Stage) -> Result<(), String> {
    let group = stage.group("empty");
    same("ownerships", stage.owners(0, &group).await?.len(), 0)?;
    same("checkpoints", stage.checkpoints(0, &group).await?.len(), 0)?;
    same("what no claims win", stage.claim(0, &group, &[]).await?.len(), 0)
}

async fn first_claims(stage: &Stage) -> Result<(), String> {
    let group = stage.group("first");
    stage.win(0, &group, &Ownership::new("0", "a")).await?;
    stage.lose(1, &group, &Ownership::new("0", "b")).await?;
    stage.lose(0, &group, &Ownership::new("0", "a")).await?;
    // An etag where there is no record is that of a record that somebody has removed.
    let stale = Ownership { etag: Some("0x8DCAFEBABE00000".into()), ..Ownership::new("1", "a") };
    stage.lose(0, &group, &stale).await?;
    let owners = stage.owners(1, &group).await?;
    same("the owners", owners.into_values().map(|record| record.owner_id).collect(), vec!["a".to_owned()])
}

async fn etags(stage: &Stage) -> Result<(), String> {
    let group = stage.group("etags");
    let first = stage.win(0, &group, &Ownership::new("0", "a")).await?;
    let renewed = stage.win(0, &group, &first).await?;
    stage.lose(1, &group, &first.claimed_by("b")).await?;
    let stolen = stage.win(1, &group, &renewed.claimed_by("b")).await?;
    stage.lose(0, &group, &renewed).await?;
    stage.win(1, &group, &stolen).await?;
    stage.lose(0, &group, &Ownership { etag: Some("something else".into()), ..stolen }).await?;
    same("the owner", stage.owners(0, &group).await?["0"].owner_id.as_str(), "b")
}

async fn listed_as_won(stage: &Stage) -> Result<(), String> {
    let group = stage.group("listed");
    let claims = ["0", "1", "2"].map(|partition| Ownership::new(partition, "a"));
    let mut won = stage.claim(0, &group, &claims).await?;
    won.sort_by(|a, b| a.partition_id.cmp(&b.partition_id));
    same("the listing", stage.owners(1, &group).await?.into_values().collect(), won.clone())?;
    let again = stage.win(0, &group, &won[1]).await?;
    same("the renewed record", &stage.owners(1, &group).await?["1"], &again)?;
    same("a record that was left alone", &stage.owners(0, &group).await?["0"], &won[0])
}

async fn mixed(stage: &Stage) -> Result<(), String> {
    let group = stage.group("mixed");
    let theirs = stage.win(0, &group, &Ownership::new("0", "b")).await?;
    let mine = stage.win(1, &group, &Ownership::new("1", "a")).await?;
    let claims = [Ownership::new("0", "a"), mine, Ownership::new("2", "a")];
    let mut won: Vec<_> =
        stage.claim(1, &group, &claims).await?.into_iter().map(|record| record.partition_id).collect();
    won.sort();
    same("what was won", won, vec!["1".to_owned(), "2".to_owned()])?;
    same("the record of the other", &stage.owners(1, &group).await?["0"], &theirs)
}

async fn free_races(stage: &Stage) -> Result<(), String> {
    let group = stage.group("race");
    for race in 0..RACES {
        let partition = race.to_string();
        let claims = (0..CLAIMANTS).map(|owner| Ownership::new(&partition, owner.to_string())).collect();
        let won = stage.race(&group, claims).await?;
        same("winners", won.len(), 1)?;
        same("the record", stage.owners(race, &group).await?.get(&partition), won.first())?;
    }
    Ok(())
}

async fn etag_races(stage: &Stage) -> Result<(), String> {
    let group = stage.group("steal");
    let mut record = stage.win(0, &group, &Ownership::new("0", "first")).await?;
    for race in 0..RACES {
        let claims = (0..CLAIMANTS).map(|owner| record.claimed_by(format!("{race}-{owner}"))).collect();
        let won = stage.race(&group, claims).await?;
        same("winners", won.len(), 1)?;
        record = won[0].clone();
        same("the record", stage.owners(race, &group).await?.get("0"), Some(&record))?;
    }
    Ok(())
}

async fn released(stage: &Stage) -> Result<(), String> {
    let group = stage.group("released");
    let mine = stage.win(0, &group, &Ownership::new("0", "a")).await?;
    let free = stage.win(0, &group, &mine.claimed_by("")).await?;
    let listed = stage.owners(1, &group).await?;
    same("the record", listed.get("0"), Some(&free))?;
    if !listed["0"].is_released() {
        return Err("it still has an owner".into());
    }
    stage.lose(1, &group, &Ownership::new("0", "b")).await?;
    let theirs = stage.win(1, &group, &free.claimed_by("b")).await?;
    stage.lose(0, &group, &free.claimed_by("a")).await?;
    same("the record", stage.owners(0, &group).await?.get("0"), Some(&theirs))
}

async fn times(stage: &Stage) -> Result<(), String> {
    let group = stage.group("times");
    let first = stage.win(0, &group, &Ownership::new("0", "a")).await?;
    let mut record = first.clone();
    // Some stores count in seconds.
    let deadline = now() + Duration::from_secs(10);
    while record.last_modified == first.last_modified {
        let renewed = stage.win(0, &group, &record).await?;
        if renewed.last_modified < record.last_modified {
            return Err(format!(
                "the time went from {:?} to {:?}",
                record.last_modified, renewed.last_modified
            ));
        }
        record = renewed;
        if now() > deadline {
            return Err("renewals for ten seconds did not advance the time".into());
        }
    }
    Ok(())
}

async fn many(stage: &Stage) -> Result<(), String> {
    const MANY: usize = 1_024;
    let group = stage.group("many");
    let claims: Vec<_> = (0..MANY).map(|partition| Ownership::new(partition.to_string(), "a")).collect();
    let won = stage.claim(0, &group, &claims).await?;
    same("partitions won", won.len(), MANY)?;
    same("partitions renewed", stage.claim(0, &group, &won).await?.len(), MANY)?;
    let listed = stage.owners(1, &group).await?;
    same("partitions listed", listed.len(), MANY)?;
    same("partitions won with old etags", stage.claim(1, &group, &won).await?.len(), 0)?;
    let missing = claims.iter().find(|claim| !listed.contains_key(&claim.partition_id));
    same("a partition that is missing", missing, None)
}

async fn dropped(stage: &Stage) -> Result<(), String> {
    let group = stage.group("dropped");
    for polls in 0..6 {
        let partition = polls.to_string();
        let claim = [Ownership::new(&partition, "hasty")];
        super::checkpoints::abandon(stage.store(0).claim_ownership(&group, &claim), polls).await;
        // What was on its way may arrive between a listing and a claim, so it may take some turns.
        let deadline = now() + Duration::from_secs(20);
        loop {
            let known = stage.owners(1, &group).await?.remove(&partition);
            if known.as_ref().is_some_and(|known| known.owner_id != "hasty") {
                return Err(format!("the record is neither free nor claimed: {known:?}"));
            }
            let claim = known.unwrap_or_else(|| Ownership::new(&partition, "")).claimed_by("patient");
            if let [won] = stage.claim(1, &group, &[claim]).await?.as_slice() {
                same("the record", stage.owners(0, &group).await?.get(&partition), Some(won))?;
                break;
            }
            if now() > deadline {
                return Err("nobody could claim the partition any more".into());
            }
        }
    }
    Ok(())
}
