//! How fast the broker alone is: `cargo test --release --all-features --lib broker::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::dialect::annotations::{BATCH_FORMAT, RECEIVER_RUNTIME_METRIC};

/// Seconds spent in the broker.
struct Timed {
    client: Client,
    spent: Duration,
}

impl Timed {
    fn new(namespace: &Namespace) -> Self {
        Timed { client: Client::new(namespace), spent: Duration::ZERO }
    }

    /// Moves bytes to and fro, counting deliveries and outcomes.
    fn pump(&mut self) -> usize {
        let Client { engine, broker, now, .. } = &mut self.client;
        let mut seen = 0;
        loop {
            let mut quiet = true;
            while let Some(bytes) = engine.poll_output(now.moment) {
                // What a socket read gives: memory of its own, as large as a read.
                let bytes = Bytes::from(bytes.to_vec());
                let before = Instant::now();
                broker.feed(bytes, *now);
                self.spent += before.elapsed();
                quiet = false;
            }
            loop {
                let before = Instant::now();
                let output = broker.poll_output(*now);
                self.spent += before.elapsed();
                let Some(bytes) = output else { break };
                engine.feed(bytes, now.moment);
                quiet = false;
                while let Some(event) = engine.poll_event() {
                    seen += usize::from(matches!(event, Event::Delivery { .. } | Event::Outcome { .. }));
                }
            }
            if quiet {
                return seen;
            }
        }
    }
}

/// Prints the best of some runs: others share the machine.
fn report(what: &str, mut run: impl FnMut() -> (usize, Duration)) {
    let best = (0..5)
        .map(|_| run())
        .map(|(events, spent)| spent.as_secs_f64() * 1e9 / events as f64)
        .fold(f64::INFINITY, f64::min);
    println!("{what:<44} {:>10.0} events/s {best:>8.0} ns each", 1e9 / best);
}

fn roomy(partitions: u32) -> Namespace {
    with_config(|config| {
        config.hubs[0].partitions = partitions;
        config.limits.stored_bytes = 8 << 30;
    })
}

#[test]
#[ignore = "measures; run it in release"]
fn events_per_second() {
    for size in [64, 1024, 16 * 1024] {
        let total = if size > 10_000 { 4000 } else { 50_000 };
        let body = "x".repeat(size);
        let event = encode_event(&EventData::from(body.as_str())).unwrap();
        report(&format!("{size} B in, one by one"), || {
            let mut writer = Timed::new(&roomy(4));
            let link = writer.client.sender("orders/Partitions/0").unwrap();
            for _ in 0..total {
                writer.client.post(link, 0, event.clone());
            }
            assert_eq!(writer.pump(), total);
            (total, writer.spent)
        });
        let per_batch = (900_000 / size).min(2000);
        let texts: Vec<&str> = (0..per_batch).map(|_| body.as_str()).collect();
        for key in [None, Some("device-1")] {
            let encoded = batch(key, &texts);
            let kind = if key.is_some() { "keyed batches" } else { "batches" };
            report(&format!("{size} B in, {kind} of {per_batch}"), || {
                let mut writer = Timed::new(&roomy(4));
                let link = writer.client.sender("orders/Partitions/0").unwrap();
                for _ in 0..total / per_batch {
                    writer.client.post(link, BATCH_FORMAT, encoded.clone());
                }
                assert_eq!(writer.pump(), total / per_batch);
                (total / per_batch * per_batch, writer.spent)
            });
        }
        let namespace = roomy(4);
        let mut writer = Timed::new(&namespace);
        let link = writer.client.sender("orders/Partitions/0").unwrap();
        for _ in 0..total {
            writer.client.post(link, 0, event.clone());
        }
        writer.pump();
        for metric in [false, true] {
            report(&format!("{size} B out, metric {metric}"), || {
                let mut reader = Timed::new(&namespace);
                let mut attach = from(PARTITION, StartPosition::earliest());
                if metric {
                    attach.desired_capabilities.push(RECEIVER_RUNTIME_METRIC.into());
                }
                let (link, _) = reader.client.attach(attach).unwrap();
                reader.client.engine.set_credit(link, 10_000_000);
                (reader.pump(), reader.spent)
            });
        }
    }
}

#[test]
#[ignore = "measures; run it in release"]
fn cost_per_event_by_number_of_links() {
    for links in [1, 32, 512] {
        report(&format!("1024 B out as they come, {links} links"), || {
            let namespace = roomy(1024);
            let mut reader = Timed::new(&namespace);
            let mut session = reader.client.session();
            for n in 0..links {
                if n % 200 == 0 {
                    session = reader.client.session();
                }
                let address = format!("orders/ConsumerGroups/$Default/Partitions/{n}");
                let (link, _) =
                    reader.client.attach_on(session, from(&address, StartPosition::latest())).unwrap();
                reader.client.engine.set_credit(link, 10_000_000);
            }
            reader.pump();
            reader.spent = Duration::ZERO;
            let mut writer = Timed::new(&namespace);
            let link = writer.client.sender("orders/Partitions/0").unwrap();
            let event = encode_event(&EventData::new(vec![1; 1024])).unwrap();
            let mut count = 0;
            for _ in 0..500 {
                for _ in 0..50 {
                    writer.client.post(link, 0, event.clone());
                }
                writer.pump();
                count += reader.pump();
            }
            (count, reader.spent)
        });
    }
}
