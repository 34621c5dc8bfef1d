//! `eventhubs lag`: how far a consumer group is behind.

use std::error::Error;
use std::fmt;

use clap::Args;
use futures::future::try_join_all;
use serde_json::json;

use super::connect::ConnectArgs;
use super::store::StoreName;
use super::table::{Table, grouped};
use crate::checkpoint::{Checkpoint, ConsumerGroup, Ownership, RecordFailure};
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;
use crate::dialect::management::PartitionProperties;

/// Show how far a consumer group is behind in each partition, by its checkpoints, and who reads it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct LagArgs {
    /// Where the group keeps its checkpoints: files:DIRECTORY, sqlite:FILE, blob:CONTAINER (of the storage account in
    /// AZURE_STORAGE_CONNECTION_STRING), or the URL of a container with a SAS
    #[arg(short, long, value_name = "STORE", env = "EVENTHUB_CHECKPOINT_STORE", hide_env_values = true)]
    store: StoreName,
    /// Whose checkpoints
    #[arg(short = 'g', long, value_name = "NAME", default_value = DEFAULT_CONSUMER_GROUP)]
    consumer_group: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  eventhubs lag --store files:./checkpoints --event-hub orders
  eventhubs lag --store blob:checkpoints --consumer-group billing --json | jq .events";

/// How a group stands with a partition.
struct Standing {
    partition: PartitionProperties,
    checkpoint: Option<Checkpoint>,
    owner: Option<String>,
    /// What is wrong with its records.
    wrong: Vec<String>,
}

impl LagArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let store = self.store.open()?;
        let consumer = self.connect.consumer(&self.consumer_group)?;
        let group = ConsumerGroup {
            namespace: consumer.client().host().to_owned(),
            event_hub: consumer.event_hub().to_owned(),
            name: self.consumer_group,
        };
        let hub = consumer.hub_properties().await?;
        let partitions =
            try_join_all(hub.partition_ids.iter().map(|id| consumer.partition_properties(id))).await?;
        consumer.close().await;
        let mut checkpoints = store.list_checkpoints(&group).await?;
        let mut owners = store.list_ownership(&group).await?;
        let mut failures = checkpoints.failures;
        failures.append(&mut owners.failures);
        let standings: Vec<Standing> = partitions
            .into_iter()
            .map(|partition| {
                let id = &partition.partition_id;
                let checkpoint = checkpoints.records.iter().position(|found| found.partition_id == *id);
                let checkpoint = checkpoint.map(|place| checkpoints.records.swap_remove(place));
                let owner = owners.records.iter().find(|found| found.partition_id == *id);
                let owner =
                    owner.filter(|found| !Ownership::is_released(found)).map(|found| found.owner_id.clone());
                let wrong =
                    failures.iter().filter(|failure| failure.partition_id == *id).map(words).collect();
                Standing { checkpoint, owner, wrong, partition }
            })
            .collect();
        match self.json {
            true => println!("{}", json_text(&group, &standings)),
            false => print!("{}", Text(&group, &standings)),
        }
        Ok(())
    }
}

impl Standing {
    /// How many events are to be processed still; `None` where the checkpoint does not say.
    fn events(&self) -> Option<u64> {
        match &self.checkpoint {
            Some(checkpoint) => Some(self.partition.events_behind(Some(checkpoint.sequence_number?))),
            None if self.wrong.is_empty() => Some(self.partition.events()),
            None => None,
        }
    }

    /// What a person should know besides.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.wrong.clone();
        let Some(number) = self.checkpoint.as_ref().map(|checkpoint| checkpoint.sequence_number) else {
            return remarks;
        };
        let (begin, last) =
            (self.partition.begin_sequence_number, self.partition.last_enqueued_sequence_number);
        match number {
            None => remarks
                .push("the checkpoint has an offset only: how far it is behind cannot be told".to_owned()),
            Some(number) if number > last => {
                remarks.push(format!(
                    "the checkpoint is ahead of the partition, which ends at {last}: was the hub made anew?"
                ));
            }
            Some(number) if number.saturating_add(1) < begin => {
                let gone = begin.saturating_sub(number).saturating_sub(1).unsigned_abs();
                remarks.push(format!("{} events were gone before they were processed", grouped(gone)));
            }
            Some(_) => {}
        }
        remarks
    }
}

fn words(failure: &RecordFailure) -> String {
    failure.error.to_string()
}

struct Text<'a>(&'a ConsumerGroup, &'a [Standing]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(group, standings) = self;
        let total: u64 = standings.iter().filter_map(Standing::events).sum();
        let known = standings.iter().filter(|standing| standing.checkpoint.is_some()).count();
        let mut table = Table::new(["partition", "behind", "checkpoint", "last", "newest", "owner"]);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        for standing in *standings {
            let Standing { partition, checkpoint, owner, .. } = standing;
            let number = checkpoint.as_ref().map(|checkpoint| checkpoint.sequence_number);
            let ever = partition.last_enqueued_time.is_some();
            table.row([
                partition.partition_id.clone(),
                standing.events().map_or("?".to_owned(), grouped),
                or_none(number.map(|number| number.map_or("?".to_owned(), |number| number.to_string()))),
                or_none(ever.then(|| partition.last_enqueued_sequence_number.to_string())),
                partition.last_enqueued_time.map_or("never".to_owned(), |time| time.to_string()),
                or_none(owner.clone()),
            ]);
        }
        writeln!(
            f,
            "{}, {}: {} events behind, {known} of {} partitions with a checkpoint\n\n{table}",
            group.event_hub,
            group.name,
            grouped(total),
            standings.len()
        )?;
        for standing in *standings {
            for remark in standing.remarks() {
                writeln!(f, "partition {}: {remark}", standing.partition.partition_id)?;
            }
        }
        Ok(())
    }
}

fn json_text(group: &ConsumerGroup, standings: &[Standing]) -> String {
    let partitions: Vec<_> = standings
        .iter()
        .map(|standing| {
            let checkpoint = standing.checkpoint.as_ref();
            json!({
                "id": standing.partition.partition_id,
                "events": standing.events(),
                "checkpoint": checkpoint.map(|checkpoint| json!({
                    "sequenceNumber": checkpoint.sequence_number,
                    "offset": checkpoint.offset,
                })),
                "beginSequenceNumber": standing.partition.begin_sequence_number,
                "lastEnqueuedSequenceNumber": standing.partition.last_enqueued_sequence_number,
                "lastEnqueuedTime": standing.partition.last_enqueued_time.map(|time| time.to_string()),
                "owner": standing.owner,
                "remarks": standing.remarks(),
            })
        })
        .collect();
    json!({
        "eventHub": group.event_hub,
        "consumerGroup": group.name,
        "events": standings.iter().filter_map(Standing::events).sum::<u64>(),
        "partitions": partitions,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Timestamp;

    fn standing(checkpoint: Option<Option<i64>>, begin: i64, last: i64) -> Standing {
        let mut partition = PartitionProperties::new("orders", "3");
        partition.begin_sequence_number = begin;
        partition.last_enqueued_sequence_number = last;
        partition.last_enqueued_time = Some(Timestamp::from_millis(0));
        partition.is_empty = false;
        let checkpoint = checkpoint.map(|sequence_number| Checkpoint {
            partition_id: "3".to_owned(),
            offset: Some("448".to_owned()),
            sequence_number,
        });
        Standing { partition, checkpoint, owner: Some("worker-1".to_owned()), wrong: Vec::new() }
    }

    #[test]
    fn what_is_behind_is_what_is_held_and_not_processed() {
        for (checkpoint, begin, expected, remark) in [
            (None, 0, Some(100), None),
            (None, 40, Some(60), None),
            (Some(Some(89)), 0, Some(10), None),
            (Some(Some(99)), 0, Some(0), None),
            (Some(Some(9)), 10, Some(90), None),
            (Some(Some(9)), 13, Some(87), Some("3 events were gone before")),
            (Some(Some(140)), 0, Some(0), Some("ahead of the partition, which ends at 99")),
            (Some(None), 0, None, Some("an offset only")),
        ] {
            let standing = standing(checkpoint, begin, 99);
            assert_eq!(standing.events(), expected, "{checkpoint:?} {begin}");
            let remarks = standing.remarks();
            assert_eq!(remarks.len(), usize::from(remark.is_some()), "{remarks:?}");
            assert!(remark.is_none_or(|remark| remarks[0].contains(remark)), "{remarks:?}");
        }
    }

    #[test]
    fn it_is_printed_for_people_and_for_programs() {
        let group = ConsumerGroup {
            namespace: "localhost".to_owned(),
            event_hub: "orders".to_owned(),
            name: "billing".to_owned(),
        };
        let mut broken = standing(None, 0, 99);
        broken.wrong.push("it has no offset".to_owned());
        let standings = [standing(Some(Some(89)), 0, 99), broken];
        let text = Text(&group, &standings).to_string();
        assert!(
            text.starts_with("orders, billing: 10 events behind, 1 of 2 partitions with a checkpoint\n"),
            "{text}"
        );
        assert!(text.contains("worker-1") && text.ends_with("partition 3: it has no offset\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json_text(&group, &standings)).unwrap();
        assert_eq!(json["events"], 10);
        assert_eq!(json["partitions"][0]["checkpoint"]["sequenceNumber"], 89);
        assert_eq!(json["partitions"][1]["events"], serde_json::Value::Null);
    }
}
