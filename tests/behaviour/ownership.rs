//! Owner levels, stealing, and the quota of readers.

use eventhubs::{ErrorKind, EventStream, SendOptions, StartPosition};

use crate::support::{Running, nothing_more, soon, start, take, test, texts};

async fn open(running: &Running, level: Option<i64>) -> Result<EventStream, eventhubs::Error> {
    let reader = running.consumer().partition("0").from(StartPosition::earliest());
    let reader = match level {
        Some(level) => reader.owner_level(level),
        None => reader,
    };
    soon(reader.open()).await
}

async fn loses(stream: &mut EventStream) {
    let error = soon(stream.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnershipLost);
    assert_eq!(error.condition(), Some("amqp:link:stolen"));
    assert!(!error.is_transient());
    assert!(soon(stream.next()).await.is_none());
}

#[test]
async fn the_higher_level_and_the_later_of_equals_take_the_partition() {
    let running = start().await;
    let mut without = open(&running, None).await.unwrap();
    let mut low = open(&running, Some(0)).await.unwrap();
    loses(&mut without).await;
    let mut equal = open(&running, Some(0)).await.unwrap();
    loses(&mut low).await;
    let mut high = open(&running, Some(7)).await.unwrap();
    loses(&mut equal).await;
    for level in [None, Some(0), Some(6)] {
        let error = open(&running, level).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OwnershipLost, "{level:?}");
    }
    soon(running.producer().send_with("x", SendOptions::to_partition("0"))).await.unwrap();
    assert_eq!(texts(&take(&mut high, 1).await), ["x"]);
    nothing_more(&mut high).await;
}

#[test]
async fn a_partition_that_was_let_go_can_be_taken_with_a_lower_level() {
    let running = start().await;
    drop(open(&running, Some(9)).await.unwrap());
    // The emulator hears of it soon, not at once.
    let taken = soon(async {
        loop {
            match open(&running, Some(1)).await {
                Err(error) if error.kind() == ErrorKind::OwnershipLost => {}
                other => return other,
            }
        }
    });
    taken.await.unwrap();
}

#[test]
async fn five_readers_share_a_partition_and_the_sixth_is_told() {
    let running = start().await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(open(&running, None).await.unwrap());
    }
    let error = open(&running, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(error.to_string().contains('5'), "{error}");
    soon(running.producer().send_with("x", SendOptions::to_partition("0"))).await.unwrap();
    for reader in &mut readers {
        assert_eq!(texts(&take(reader, 1).await), ["x"]);
    }
}
