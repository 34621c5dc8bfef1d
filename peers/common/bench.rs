//! What every Rust benchmark peer shares: the arguments, the connection string and the one line
//! it prints. Included by path, since each peer is a crate of its own with its own lock file.

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::json;

/// The arguments `cargo xtask bench` calls every peer with.
#[derive(Parser, Debug, Clone)]
pub struct Args {
    #[arg(long)]
    pub connection_string: String,
    #[arg(long)]
    pub hub: String,
    #[arg(long)]
    pub mode: Mode,
    /// Bytes in each event's body.
    #[arg(long, default_value_t = 1024)]
    pub size: usize,
    /// Events to send or to receive.
    #[arg(long, default_value_t = 10_000)]
    pub count: usize,
    /// Where events go to and come from.
    #[arg(long, default_value = "0")]
    pub partition: String,
    #[arg(long, default_value = "tcp")]
    pub transport: Transport,
    /// Sends that wait for their outcome at the same time, where the peer can do that.
    #[arg(long)]
    pub in_flight: Option<usize>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Full batches.
    Send,
    /// From the start of the partition.
    Receive,
    /// One event a transfer, pipelined.
    Single,
    /// One event a transfer, the next one after the outcome of the last.
    Latency,
    /// One event a call into a buffer, where there is one.
    Buffered,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Ws,
}

/// What a run measured.
pub struct Outcome {
    pub events: usize,
    pub elapsed: Duration,
    /// One entry an event, in latency mode only.
    pub laps: Vec<Duration>,
}

impl Outcome {
    pub fn since(start: Instant, events: usize) -> Self {
        Self { events, elapsed: start.elapsed(), laps: Vec::new() }
    }

    /// Prints the line that `cargo xtask bench` reads.
    pub fn print(mut self, peer: &str, args: &Args) {
        let mut line = json!({
            "peer": peer,
            "transport": format!("{:?}", args.transport).to_lowercase(),
            "mode": format!("{:?}", args.mode).to_lowercase(),
            "size": args.size,
            "events": self.events,
            "seconds": self.elapsed.as_secs_f64(),
        });
        if !self.laps.is_empty() {
            self.laps.sort_unstable();
            let at = |share: f64| {
                let last = self.laps.len() - 1;
                self.laps[(last as f64 * share).round() as usize].as_secs_f64() * 1e6
            };
            line["p50Micros"] = json!(at(0.5));
            line["p99Micros"] = json!(at(0.99));
        }
        println!("{line}");
    }
}

/// A body that does not compress and differs from event to event in its first bytes.
pub fn body(size: usize, index: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    for (slot, byte) in bytes.iter_mut().zip(index.to_le_bytes()) {
        *slot = byte;
    }
    bytes
}
