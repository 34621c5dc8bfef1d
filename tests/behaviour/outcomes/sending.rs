//! A send while something goes wrong.

use std::time::Duration;

use eventhubs::{ConsumerClient, Error, ProducerClient, SendOptions, StartPosition, Status};
use futures::future::{Either, join, select};

use super::cases::Case;
use super::row::{Row, code};
use super::statuses::Log;
use super::{ATTEMPT, GRACE, Hurt, PARTITION, RECOVERY, TOTAL, emulator, helper, subject};
use crate::harness::{clock, within};
use crate::support::{Running, soon};

pub(super) async fn run(case: &Case, row: &mut Row) {
    let mut running = emulator(case).await;
    let producer = subject(ProducerClient::builder(), &running).build().unwrap();
    let log = Log::of(producer.status());
    soon(send(&producer, "before")).await.unwrap();
    let start = log.len();

    let mut hurt = Hurt::begin(case, &mut running).await;
    let begin = clock();
    // Wide enough to fill a thin wire for a while.
    let during = format!("during{}", " ".repeat(2000));
    let sent = within(TOTAL + GRACE, async {
        let mut sent = Box::pin(send(&producer, &during));
        let mut returns = Box::pin(hurt.returns(&mut running));
        match select(&mut sent, &mut returns).await {
            Either::Left((sent, _)) => {
                returns.await;
                sent
            }
            Either::Right(((), _)) => sent.await,
        }
    });
    let sent = sent.await;
    row.settled = clock() - begin;
    row.outcome = match &sent {
        None => "hangs".to_owned(),
        Some(Ok(())) => "stored".to_owned(),
        Some(Err(error)) => code(error),
    };
    if let Some(Err(error)) = &sent {
        row.expect(error.operation().is_some() && error.entity().is_some(), || {
            format!("what was tried? {error}")
        });
    }

    row.hits = hurt.heal(&mut running).await;
    let healed = clock();
    let after = within(RECOVERY + GRACE, send(&producer, "after")).await;
    row.recovered = clock() - healed;
    row.expect(matches!(after, Some(Ok(()))), || format!("it does not work again: {after:?}"));
    row.told = log.since(start);
    let health = producer.health();
    row.expect(health.is_healthy && matches!(health.state, Status::Connected), || format!("{health:?}"));

    check_stored(case, row, &running, sent.as_ref()).await;
    soon(producer.close()).await;
    log.check(row).await;
}

/// Whether what is stored is what was said.
async fn check_stored(case: &Case, row: &mut Row, running: &Running, sent: Option<&Result<(), Error>>) {
    let consumer = helper(ConsumerClient::builder(), running).build().unwrap();
    let reader = consumer.partition(PARTITION).from(StartPosition::earliest());
    let mut events = soon(reader.open()).await.unwrap();
    let mut stored: Vec<String> = Vec::new();
    loop {
        // What was given up on may still be on its way through a slow disk.
        let wait =
            if stored.iter().any(|text| text == "after") { Duration::from_millis(150) } else { ATTEMPT };
        let more = soon(events.next_batch(100, wait)).await.unwrap();
        if more.is_empty() {
            break;
        }
        stored.extend(more.iter().map(|event| event.body_text().unwrap().trim_end().to_owned()));
    }
    let count = |wanted: &str| stored.iter().filter(|text| *text == wanted).count();
    let (before, during, after) = (count("before"), count("during"), count("after"));
    row.remark = match during {
        1 => String::new(),
        n => format!("stored {n} times"),
    };
    // At least once: on a busy machine an attempt may take too long, and be made again.
    row.expect((before >= 1) != case.is_wiped, || {
        format!("stored before, wiped {}: {stored:?}", case.is_wiped)
    });
    row.expect(after >= 1, || format!("what was stored after is not there: {stored:?}"));
    match sent {
        Some(Ok(())) => row.expect(during >= 1, || format!("acknowledged, and not stored: {stored:?}")),
        Some(Err(error)) if !error.outcome_unknown() => {
            row.expect(during == 0, || format!("stored, and said to have failed: {stored:?}"));
        }
        _ => {}
    }
    let position = |wanted: &str| stored.iter().position(|text| text == wanted);
    if let (Some(during), Some(after)) = (position("during"), position("after")) {
        row.expect(during < after, || format!("out of order: {stored:?}"));
    }
    soon(join(consumer.close(), async {})).await;
}

async fn send(producer: &ProducerClient, text: &str) -> Result<(), Error> {
    producer.send_with(text, SendOptions::to_partition(PARTITION)).await
}
