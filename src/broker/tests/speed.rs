//! How fast the broker alone is: `cargo test --release --all-features --lib broker::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::dialect::annotations::BATCH_FORMAT;

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

    fn report(&self, what: &str, events: usize) {
        let seconds = self.spent.as_secs_f64();
        let each = seconds * 1e9 / events as f64;
        println!("{what:<44} {:>10.0} events/s {each:>8.0} ns each", events as f64 / seconds);
    }
}

#[test]
#[ignore = "measures; run it in release"]
fn events_per_second() {
    let total = 200_000;
    for size in [64, 1024, 16 * 1024] {
        let total = if size > 10_000 { total / 10 } else { total };
        let namespace = with_config(|config| config.limits.stored_bytes = 8 << 30);
        let body = "x".repeat(size);
        let event = encode_event(&EventData::from(body.as_str())).unwrap();

        let mut writer = Timed::new(&namespace);
        let link = writer.client.sender("orders/Partitions/0").unwrap();
        writer.pump();
        for _ in 0..total {
            writer.client.post(link, 0, event.clone());
        }
        assert_eq!(writer.pump(), total);
        writer.report(&format!("{size} B in, one by one"), total);

        for keyed in [None, Some("device-1")] {
            let per_batch = (900_000 / size).min(2000);
            let mut writer = Timed::new(&namespace);
            let link = writer.client.sender("orders/Partitions/1").unwrap();
            writer.pump();
            let texts: Vec<&str> = (0..per_batch).map(|_| body.as_str()).collect();
            let batches = total / per_batch;
            let encoded = batch(keyed, &texts);
            for _ in 0..batches {
                writer.client.post(link, BATCH_FORMAT, encoded.clone());
            }
            assert_eq!(writer.pump(), batches);
            let kind = if keyed.is_some() { "keyed batches" } else { "batches" };
            writer.report(&format!("{size} B in, {kind} of {per_batch}"), batches * per_batch);
        }

        for (metric, partition) in [(false, 0), (false, 1), (true, 0)] {
            let mut reader = Timed::new(&namespace);
            let mut attach = from(
                &format!("orders/ConsumerGroups/$Default/Partitions/{partition}"),
                StartPosition::earliest(),
            );
            if metric {
                attach.desired_capabilities =
                    vec![Symbol::from_static("com.microsoft:enable-receiver-runtime-metric")];
            }
            let (link, _) = reader.client.attach(attach).unwrap();
            reader.client.engine.set_credit(link, 10_000_000);
            let count = reader.pump();
            reader.report(&format!("{size} B out of {partition}, metric {metric}"), count);
        }
    }
}

#[test]
#[ignore = "measures; run it in release"]
fn cost_per_event_by_number_of_links() {
    for links in [1, 32, 512] {
        let namespace = with_config(|config| {
            config.hubs[0].partitions = 1024;
            config.limits.stored_bytes = 8 << 30;
        });
        let mut reader = Timed::new(&namespace);
        for n in 0..links {
            let address = format!("orders/ConsumerGroups/$Default/Partitions/{n}");
            let link = reader.client.receiver(&address, StartPosition::latest()).unwrap();
            reader.client.engine.set_credit(link, 10_000_000);
        }
        reader.pump();
        reader.spent = Duration::ZERO;
        let mut writer = Timed::new(&namespace);
        let link = writer.client.sender("orders/Partitions/0").unwrap();
        writer.pump();
        let event = encode_event(&EventData::new(vec![1; 1024])).unwrap();
        let mut count = 0;
        for _ in 0..500 {
            for _ in 0..50 {
                writer.client.post(link, 0, event.clone());
            }
            writer.pump();
            count += reader.pump();
        }
        reader.report(&format!("out as they come, {links} links"), count);
    }
}
