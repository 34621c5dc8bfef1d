//! Promises about how far was read.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::Promise;
use super::stage::{Stage, same};
use crate::error::ErrorKind;
use crate::model::checkpoint::{Checkpoint, Ownership};
use crate::runtime::within;

pub(super) const PROMISES: &[Promise] = &[
    ("a checkpoint is listed as it was written", |stage| Box::pin(written(stage))),
    ("a checkpoint takes the place of the one before, even one that lies ahead", |stage| {
        Box::pin(replaced(stage))
    }),
    ("an offset alone or a sequence number alone is enough, and neither is refused", |stage| {
        Box::pin(partial(stage))
    }),
    ("checkpoints and ownerships do not touch each other", |stage| Box::pin(apart(stage))),
    ("hundreds of checkpoints are written and listed", |stage| Box::pin(many(stage))),
    ("a checkpoint whose future was dropped is the former or the new one", |stage| Box::pin(dropped(stage))),
];

async fn written(stage: &Stage) -> Result<(), String> {
    let group = stage.group("written");
    let checkpoints = [
        Checkpoint::new("0", "0", 0),
        Checkpoint::new("1", "4611686018427387904", i64::MAX),
        // Hubs that are replicated between regions have offsets that are no numbers.
        Checkpoint::new("2", "3:128:512-1", 17),
        Checkpoint::new("10", "-1", -1),
    ];
    for (number, checkpoint) in checkpoints.iter().enumerate() {
        stage.write(number, &group, checkpoint).await?;
    }
    let listed = stage.checkpoints(1, &group).await?;
    same("how many", listed.len(), checkpoints.len())?;
    checkpoints
        .iter()
        .try_for_each(|wanted| same("a checkpoint", listed.get(&wanted.partition_id), Some(wanted)))
}

async fn replaced(stage: &Stage) -> Result<(), String> {
    let group = stage.group("replaced");
    for (number, sequence_number) in [5, 6, 700, 6, 0].into_iter().enumerate() {
        let checkpoint = Checkpoint::new("0", (sequence_number * 100).to_string(), sequence_number);
        stage.write(number, &group, &checkpoint).await?;
        same("the checkpoint", stage.checkpoints(number + 1, &group).await?.remove("0"), Some(checkpoint))?;
    }
    Ok(())
}

async fn partial(stage: &Stage) -> Result<(), String> {
    let group = stage.group("partial");
    let whole = Checkpoint::new("0", "100", 1);
    let offset = Checkpoint { sequence_number: None, ..whole.clone() };
    let number = Checkpoint { offset: None, ..whole.clone() };
    for checkpoint in [&whole, &offset, &number] {
        stage.write(0, &group, checkpoint).await?;
        let listed = stage.checkpoints(1, &group).await?;
        same("the checkpoint", listed.get("0"), Some(checkpoint))?;
    }
    let nothing = Checkpoint { offset: None, ..offset };
    match stage.store(0).update_checkpoint(&group, &nothing).await {
        Ok(()) => return Err("a checkpoint that says nothing was taken".into()),
        Err(error) => same("the kind of the error", error.kind(), ErrorKind::InvalidArgument)?,
    }
    same("the checkpoint", stage.checkpoints(1, &group).await?.get("0"), Some(&number))
}

async fn apart(stage: &Stage) -> Result<(), String> {
    let group = stage.group("apart");
    let owned = stage.win(0, &group, &Ownership::new("0", "a")).await?;
    same("checkpoints", stage.checkpoints(1, &group).await?.len(), 0)?;
    stage.write(0, &group, &Checkpoint::new("0", "1", 1)).await?;
    stage.write(0, &group, &Checkpoint::new("1", "1", 1)).await?;
    same("the ownerships", stage.owners(1, &group).await?.into_values().collect(), vec![owned.clone()])?;
    stage.win(0, &group, &owned).await?;
    same("checkpoints", stage.checkpoints(1, &group).await?.len(), 2)
}

async fn many(stage: &Stage) -> Result<(), String> {
    const MANY: i64 = 200;
    let group = stage.group("hundreds");
    for round in 0..2 {
        let checkpoints: Vec<_> =
            (0..MANY).map(|n| Checkpoint::new(n.to_string(), (n * 7).to_string(), n + round)).collect();
        let writes = checkpoints.iter().map(|checkpoint| stage.write(0, &group, checkpoint));
        for written in futures::future::join_all(writes).await {
            written?;
        }
        let listed = stage.checkpoints(1, &group).await?;
        same("how many", listed.len(), checkpoints.len())?;
        for wanted in &checkpoints {
            same("a checkpoint", listed.get(&wanted.partition_id), Some(wanted))?;
        }
    }
    Ok(())
}

async fn dropped(stage: &Stage) -> Result<(), String> {
    let group = stage.group("hasty");
    let former = Checkpoint::new("0", "100", 1);
    let hasty = Checkpoint::new("0", "200", 2);
    for polls in 0..6 {
        stage.write(0, &group, &former).await?;
        abandon(stage.store(0).update_checkpoint(&group, &hasty), polls).await;
        let listed = stage.checkpoints(1, &group).await?;
        match listed.get("0") {
            Some(seen) if *seen == former || *seen == hasty => {}
            other => return Err(format!("{other:?} was neither")),
        }
    }
    Ok(())
}

/// Drops a future that was polled at most so many times, once it was woken in between.
pub(super) async fn abandon(work: impl Future, polls: usize) {
    let mut work = pin!(work);
    let mut left = polls;
    let polled = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if left == 0 => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    });
    // A future that is waiting for more than is coming is dropped just as well.
    within(Duration::from_secs(5), polled).await;
}
