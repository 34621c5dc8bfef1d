//! `eventhubs diagnose`: what works, and what does not, on the way to a hub.

use std::error::Error;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::connect::ConnectArgs;
use crate::client::{Diagnosis, Needs, Verdict};
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;

/// Find out what works, and what does not, on the way to a hub: name, socket, TLS, WebSocket, AMQP, token, hub, rights, clock.
///
/// Sends and takes no event. Ends within 30 seconds; the exit status is 1 when something has failed.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct DiagnoseArgs {
    /// The right that has to be there [default: either]
    #[arg(long, value_name = "send|listen", hide_possible_values = true)]
    needs: Option<NeedsArg>,
    /// The consumer group to receive for
    #[arg(short = 'g', long, value_name = "NAME", default_value = DEFAULT_CONSUMER_GROUP)]
    consumer_group: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NeedsArg {
    Send,
    Listen,
}

const EXAMPLES: &str = "\
Examples:
  eventhubs diagnose --event-hub orders
  eventhubs diagnose --needs send --json | jq '.checks[] | select(.verdict == \"failed\")'";

impl DiagnoseArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let consumer = self.connect.consumer(&self.consumer_group)?;
        let needs = match self.needs {
            Some(NeedsArg::Send) => Needs::Send,
            Some(NeedsArg::Listen) => Needs::Listen,
            None => Needs::Either,
        };
        let diagnosis = consumer.client().diagnose(needs, &self.consumer_group, Duration::MAX).await;
        match self.json {
            true => println!("{}", json_text(&diagnosis)),
            false => print!("{diagnosis}"),
        }
        let failed = diagnosis.checks.iter().filter(|check| check.verdict == Verdict::Failed);
        match failed.map(|check| check.name).collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            names => Err(format!("what does not work: {}", names.join(", ")).into()),
        }
    }
}

fn json_text(diagnosis: &Diagnosis) -> String {
    let checks: Vec<_> = diagnosis
        .checks
        .iter()
        .map(|check| {
            json!({
                "name": check.name,
                "verdict": check.verdict.code(),
                "detail": check.detail,
                "hint": check.hint,
                "tookMs": check.took.as_secs_f64() * 1e3,
            })
        })
        .collect();
    json!({
        "endpoint": diagnosis.endpoint,
        "eventHub": diagnosis.event_hub,
        "ok": diagnosis.is_ok(),
        "checks": checks,
    })
    .to_string()
}
