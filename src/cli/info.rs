//! `eventhubs info`: what there is to know about a hub and its partitions.

use std::error::Error;

use clap::Args;
use futures::future::try_join_all;
use serde_json::json;

use super::connect::ConnectArgs;
use super::table::{Table, grouped};
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;
use crate::dialect::management::{HubProperties, PartitionProperties};

/// Show a hub and its partitions: how many events they hold, and which is the newest.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct InfoArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  eventhubs info --event-hub orders
  eventhubs info --json | jq '.partitions[].events'";

impl InfoArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let consumer = self.connect.consumer(DEFAULT_CONSUMER_GROUP)?;
        let hub = consumer.hub_properties().await?;
        let partitions =
            try_join_all(hub.partition_ids.iter().map(|id| consumer.partition_properties(id))).await?;
        match self.json {
            true => println!("{}", json_text(&hub, &partitions)),
            false => print!("{}", text(&hub, &partitions)),
        }
        consumer.close().await;
        Ok(())
    }
}

fn text(hub: &HubProperties, partitions: &[PartitionProperties]) -> String {
    let total: u64 = partitions.iter().map(PartitionProperties::events).sum();
    let mut table = Table::new(["partition", "events", "first", "last", "last offset", "newest"]);
    for partition in partitions {
        let held = |number: i64| if partition.is_empty { "–".to_owned() } else { number.to_string() };
        let ever = partition.last_enqueued_time.is_some();
        table.row([
            partition.partition_id.clone(),
            grouped(partition.events()),
            held(partition.begin_sequence_number),
            if ever { partition.last_enqueued_sequence_number.to_string() } else { "–".to_owned() },
            if ever { partition.last_enqueued_offset.clone() } else { "–".to_owned() },
            partition.last_enqueued_time.map_or("never".to_owned(), |time| time.to_string()),
        ]);
    }
    let partitions = partitions.len();
    let plural = if partitions == 1 { "partition" } else { "partitions" };
    format!(
        "{}: {} events in {partitions} {plural}, created {}\n\n{table}",
        hub.name,
        grouped(total),
        hub.created_at
    )
}

fn json_text(hub: &HubProperties, partitions: &[PartitionProperties]) -> String {
    let partitions: Vec<_> = partitions
        .iter()
        .map(|partition| {
            json!({
                "id": partition.partition_id,
                "events": partition.events(),
                "isEmpty": partition.is_empty,
                "beginSequenceNumber": partition.begin_sequence_number,
                "lastEnqueuedSequenceNumber": partition.last_enqueued_sequence_number,
                "lastEnqueuedOffset": partition.last_enqueued_offset,
                "lastEnqueuedTime": partition.last_enqueued_time.map(|time| time.to_string()),
            })
        })
        .collect();
    json!({
        "name": hub.name,
        "createdAt": hub.created_at.to_string(),
        "georeplicationFactor": hub.georeplication_factor,
        "partitions": partitions,
    })
    .to_string()
}
