//! Promises about names.

use super::Promise;
use super::stage::{Stage, same};
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};

pub(super) const PROMISES: &[Promise] = &[
    ("names in another case are the same group", |stage| Box::pin(cases(stage))),
    ("namespaces, hubs and groups are apart", |stage| Box::pin(apart(stage))),
    ("names that the service allows are kept", |stage| Box::pin(ordinary(stage))),
    ("odd names are kept apart and by the letter, or refused as an invalid argument", |stage| {
        Box::pin(odd(stage))
    }),
    ("odd owners and offsets are kept by the letter, or refused as an invalid argument", |stage| {
        Box::pin(texts(stage))
    }),
];

const ODD: &[&str] = &[
    "with blank",
    "with+plus",
    "100%25",
    "a.b.",
    ".hidden",
    "..",
    "con",
    "quote'\"s",
    "semi;colon",
    "question?mark#hash",
    "back\\slash",
    "slash/ed",
    "tab\there",
    "größe",
    "注文",
    "📦",
    "~",
    "<&>",
    "*",
    "a:b",
];

async fn cases(stage: &Stage) -> Result<(), String> {
    let mixed = ConsumerGroup { event_hub: "OrdErs".into(), name: "$DEFAULT".into(), ..stage.group("CASE") };
    let plain = mixed.folded();
    let mine = stage.win(0, &mixed, &Ownership::new("0", "Me")).await?;
    stage.lose(1, &plain, &Ownership::new("0", "me")).await?;
    same("the record", stage.owners(1, &plain).await?.get("0"), Some(&mine))?;
    stage.win(1, &plain, &mine).await?;
    stage.write(0, &plain, &Checkpoint::new("0", "1", 1)).await?;
    stage.write(1, &mixed, &Checkpoint::new("0", "2", 2)).await?;
    let checkpoints: Vec<_> = stage.checkpoints(0, &plain).await?.into_values().collect();
    same("the checkpoints", checkpoints, vec![Checkpoint::new("0", "2", 2)])
}

async fn apart(stage: &Stage) -> Result<(), String> {
    let group = stage.group("apart-a");
    let others = [
        ConsumerGroup { namespace: stage.group("apart-ab").namespace, ..group.clone() },
        ConsumerGroup { event_hub: "orders2".into(), ..group.clone() },
        ConsumerGroup { event_hub: "order".into(), ..group.clone() },
        ConsumerGroup { name: "$Default2".into(), ..group.clone() },
        ConsumerGroup { name: "$Defaul".into(), ..group.clone() },
        ConsumerGroup { event_hub: group.name.clone(), name: group.event_hub.clone(), ..group.clone() },
    ];
    for (number, one) in others.iter().chain([&group]).enumerate() {
        same("ownerships of others", stage.owners(0, one).await?.len(), 0)?;
        same("checkpoints of others", stage.checkpoints(0, one).await?.len(), 0)?;
        stage.win(0, one, &Ownership::new("0", number.to_string())).await?;
        stage.write(1, one, &Checkpoint::new("0", number.to_string(), 0)).await?;
    }
    for (number, one) in others.iter().chain([&group]).enumerate() {
        let owners: Vec<_> = stage.owners(1, one).await?.into_values().map(|owned| owned.owner_id).collect();
        same("the owners", owners, vec![number.to_string()])?;
        let checkpoints: Vec<_> = stage.checkpoints(0, one).await?.into_values().collect();
        same("the checkpoints", checkpoints, vec![Checkpoint::new("0", number.to_string(), 0)])?;
    }
    Ok(())
}

async fn ordinary(stage: &Stage) -> Result<(), String> {
    let hub = ["orders.2026_eu-west"; 14].join("-");
    for name in ["$Default", "a", "0", "a-b_c.d", "ownership", "checkpoint", &"g".repeat(50)] {
        let group =
            ConsumerGroup { event_hub: hub[..256].into(), name: name.into(), ..stage.group("ordinary") };
        let owner = "6e1f8d6c-8a63-4f8a-9f0b-0f6a4f6f2f55";
        stage.win(0, &group, &Ownership::new("0", owner)).await?;
        stage.write(0, &group, &Checkpoint::new("1023", "5", 5)).await?;
        let owners = stage.owners(1, &group).await?;
        same("the owners", owners.keys().map(String::as_str).collect(), vec!["0"])?;
        same("the owner", owners["0"].owner_id.as_str(), owner)?;
        let checkpoints = stage.checkpoints(1, &group).await?;
        same("the checkpoints", checkpoints.keys().map(String::as_str).collect(), vec!["1023"])?;
    }
    Ok(())
}

async fn odd(stage: &Stage) -> Result<(), String> {
    let mut kept = Vec::new();
    for name in ODD {
        let base = stage.group("odd");
        let groups = [
            ConsumerGroup { name: (*name).into(), ..base.clone() },
            ConsumerGroup { event_hub: (*name).into(), ..base.clone() },
            base,
        ];
        for (place, group) in groups.into_iter().enumerate() {
            let partition = if place == 2 { name } else { "0" };
            let claim = [Ownership::new(partition, *name)];
            let won = match stage.store(0).claim_ownership(&group, &claim).await {
                Ok(answer) => match (answer.records.into_iter().next(), answer.failures.into_iter().next()) {
                    (Some(won), _) => Ok(won),
                    (None, Some(failure)) => Err(failure.error),
                    (None, None) => return Err(format!("a first claim was lost with the name '{name}'")),
                },
                Err(error) => Err(error),
            };
            match won {
                Ok(won) => kept.push((group, won)),
                Err(error) => refused(name, &error)?,
            }
        }
    }
    for (group, won) in kept {
        same("the record", stage.owners(1, &group).await?.get(&won.partition_id), Some(&won))?;
    }
    Ok(())
}

async fn texts(stage: &Stage) -> Result<(), String> {
    let group = stage.group("texts");
    for (number, text) in ODD.iter().chain(&[" blanks ", "line\nbreak", "nul\0", "=", "%"]).enumerate() {
        let partition = number.to_string();
        let answer = stage.store(0).claim_ownership(&group, &[Ownership::new(&partition, *text)]).await;
        let failure = match answer {
            Ok(answer) => answer.failures.into_iter().next().map(|failure| failure.error),
            Err(error) => Some(error),
        };
        match (failure, stage.owners(1, &group).await?.get(&partition)) {
            (None, Some(seen)) => same("the owner", seen.owner_id.as_str(), text)?,
            (None, None) => return Err(format!("the claim of the owner '{text}' came to nothing")),
            (Some(error), seen) => {
                refused(text, &error)?;
                same("the record of a refused owner", seen, None)?;
            }
        }
        let checkpoint = Checkpoint::new(&partition, *text, 1);
        let written = stage.store(1).update_checkpoint(&group, &checkpoint).await;
        let seen = stage.checkpoints(0, &group).await?.remove(&partition);
        match written {
            Ok(()) => same("the checkpoint", seen, Some(checkpoint))?,
            Err(error) => {
                refused(text, &error)?;
                same("a refused checkpoint", seen, None)?;
            }
        }
    }
    Ok(())
}

fn refused(text: &str, error: &Error) -> Result<(), String> {
    match error.kind() {
        ErrorKind::InvalidArgument => Ok(()),
        _ => Err(format!("'{text}' was neither kept nor refused as an invalid argument: {error}")),
    }
}
