//! What an outbox promises, against an emulator that comes, goes and misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kills;
#[path = "../harness/random.rs"]
mod random;
mod reading;

use std::path::Path;
use std::time::{Duration, SystemTime};

use eventhubs::broker::{HubConfig, Now};
use eventhubs::emulator::{Emulator, EmulatorConfig, Fault, On};
use eventhubs::model::moment::Moment;
use eventhubs::model::partition::for_key;
use eventhubs::outbox::{Outbox, OutboxOptions, OutboxState, WhenFull};
use eventhubs::{ClientBuilder, ErrorKind, EventData, ProducerClient, RetryOptions, SendOptions};
use reading::{Read, read_all};

const HUB: &str = "outbox";
const PARTITIONS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);

fn config() -> EmulatorConfig {
    let mut config = EmulatorConfig::default().with_hub(HUB, PARTITIONS as u32);
    config.tls = None;
    config
}

fn producer(connection_string: &str) -> ClientBuilder<ProducerClient> {
    let retry = RetryOptions { attempt_timeout: Duration::from_secs(5), ..RetryOptions::none() };
    ProducerClient::builder().connection_string(connection_string).event_hub(HUB).retry(retry)
}

fn options() -> OutboxOptions {
    OutboxOptions::default()
}

async fn open(directory: &Path, emulator: &Emulator, options: OutboxOptions) -> Outbox {
    Outbox::open(directory, producer(&emulator.connection_string()), options).await.unwrap()
}

fn texts(events: &[Read]) -> Vec<&str> {
    events.iter().map(|event| event.text.as_str()).collect()
}

/// Until it is so; there is nothing in an outbox to wait on for most things that can be looked at.
async fn becomes(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_enqueued_without_a_service_is_sent_when_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut emulator = Emulator::start(config()).await.unwrap();
    emulator.stop().await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    for n in 0..20 {
        outbox.enqueue(EventData::from(format!("{n}")).with_partition_key("device-7")).await.unwrap();
    }
    becomes("the failure", || outbox.state().last_error.is_some()).await;
    let state = outbox.state();
    assert_eq!((state.waiting_events, state.sent), (20, 0));
    assert!(state.oldest_age.is_some() && state.disk_bytes > 20 * 20);
    let late = outbox.flush(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    assert!(late.message().contains("20 events still wait"), "{late}");

    emulator.start_again().await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    let state = outbox.state();
    assert_eq!((state.waiting_events, state.waiting_bytes, state.sent), (0, 0, 20));
    assert!(state.last_error.is_none(), "{state:?}");
    let read = read_all(&emulator.connection_string()).await;
    assert_eq!(texts(&read), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(read.iter().all(|event| event.key.as_deref() == Some("device-7")));
}

#[tokio::test]
async fn what_waited_when_the_outbox_was_closed_is_sent_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut emulator = Emulator::start(config()).await.unwrap();
    emulator.stop().await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    let to_1 = || SendOptions::to_partition("1");
    outbox.enqueue_with("a", to_1()).await.unwrap();
    outbox.enqueue_all(["b", "c"], to_1()).await.unwrap();
    outbox.close().await;
    assert_eq!(outbox.enqueue("late").await.unwrap_err().kind(), ErrorKind::Closed);

    emulator.start_again().await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    outbox.enqueue_with("d", to_1()).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    outbox.close().await;
    let outbox = open(directory.path(), &emulator, options()).await;
    assert_eq!(outbox.state().waiting_events, 0);
    let read = read_all(&emulator.connection_string()).await;
    assert_eq!(texts(&read), ["a", "b", "c", "d"]);
    assert!(read.iter().all(|event| event.partition == "1" && event.key.is_none()));
}

#[tokio::test]
async fn keys_go_where_the_service_would_put_them_and_the_rest_is_spread() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    let keys = ["a", "device-1", "device-2", "日本語", "$0cb"];
    let keyed = (0..100).map(|n| EventData::from(format!("{n}")).with_partition_key(keys[n % keys.len()]));
    outbox.enqueue_all(keyed, SendOptions::default()).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    for event in read_all(&emulator.connection_string()).await {
        let key = event.key.unwrap();
        assert_eq!(event.partition, for_key(&key, PARTITIONS as u32).to_string(), "{key}");
    }
    for _ in 0..PARTITIONS {
        outbox.enqueue("keyless").await.unwrap();
        outbox.flush(PATIENCE).await.unwrap();
    }
    let read = read_all(&emulator.connection_string()).await;
    let mut places: Vec<_> =
        read.iter().filter(|event| event.key.is_none()).map(|event| &event.partition).collect();
    places.sort();
    assert_eq!(places, ["0", "1", "2"]);
}

#[tokio::test]
async fn an_event_that_can_never_be_sent_is_told_and_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    let key = |text: String| EventData::from(text).with_partition_key("k");
    outbox
        .enqueue_all(
            [key("first".into()), key("x".repeat(2 << 20)), key("last".into())],
            SendOptions::default(),
        )
        .await
        .unwrap();
    outbox.enqueue_with("nowhere", SendOptions::to_partition("77")).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!(texts(&read_all(&emulator.connection_string()).await), ["first", "last"]);
    let mut letters = outbox.dead_letters().unwrap();
    letters.sort_by_key(|letter| letter.id);
    let codes: Vec<_> = letters.iter().map(|letter| letter.code.as_str()).collect();
    assert_eq!(codes, ["message-too-large", "invalid-argument"]);
    assert!(letters[1].reason.contains("no partition '77'"), "{}", letters[1].reason);
    assert_eq!(letters[1].event, EventData::from("nowhere"));
    assert_eq!(letters[0].event.partition_key(), Some("k"));

    outbox.remove_dead_letters(&[letters[0].id]).await.unwrap();
    outbox.close().await;
    let outbox = open(directory.path(), &emulator, options()).await;
    let left: Vec<_> = outbox.dead_letters().unwrap().iter().map(|letter| letter.id).collect();
    assert_eq!(left, [letters[1].id]);
    assert_eq!((outbox.state().dead_letters, outbox.state().waiting_events), (1, 0));
}

#[tokio::test]
async fn one_rejected_event_of_a_batch_does_not_take_the_others_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut emulator = Emulator::start(config()).await.unwrap();
    emulator.stop().await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    let numbers = (0..5).map(|n| EventData::from(n.to_string()).with_partition_key("k"));
    outbox.enqueue_all(numbers, SendOptions::default()).await.unwrap();
    emulator.start_again().await.unwrap();
    // The batch, then its first event alone.
    let fault = Fault::detach("amqp:decode-error").on(On::Send).on_entity(HUB);
    let refused = emulator.faults().inject(fault.times(2)).unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!(refused.hits(), 2);
    assert_eq!(texts(&read_all(&emulator.connection_string()).await), ["1", "2", "3", "4"]);
    let letters = outbox.dead_letters().unwrap();
    assert_eq!((letters.len(), &letters[0].event), (1, &EventData::from("0").with_partition_key("k")));
    assert_eq!(letters[0].code, "rejected");
}

#[tokio::test]
async fn an_event_that_is_refused_though_it_is_stored_takes_none_that_is_new_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    // Stored, and nobody is told; sent again, and refused. One fault strikes at a time, the oldest first.
    let lost = emulator.faults().inject(Fault::lose_ack().then_drop().on_entity(HUB).once()).unwrap();
    let refusal = Fault::detach("amqp:decode-error").on(On::Send).on_entity(HUB);
    let refused = emulator.faults().inject(refusal.once()).unwrap();
    outbox.enqueue_with("a", SendOptions::to_partition("0")).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!((lost.hits(), refused.hits(), outbox.state().dead_letters), (1, 1, 1));
    outbox.enqueue_with("b", SendOptions::to_partition("0")).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!(texts(&read_all(&emulator.connection_string()).await), ["a", "b"]);
}

#[tokio::test]
async fn what_cannot_be_laid_with_the_dead_letters_waits_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    // No file can be written under this name.
    let letters = directory.path().join("dead-letters");
    std::fs::create_dir(&letters).unwrap();
    outbox.enqueue_with("x".repeat(2 << 20), SendOptions::to_partition("0")).await.unwrap();
    outbox.enqueue_with("nowhere", SendOptions::to_partition("77")).await.unwrap();
    let says_so =
        |state: OutboxState| state.last_error.is_some_and(|error| error.message().contains("dead-letters"));
    becomes("the failure", || says_so(outbox.state())).await;
    assert_eq!(outbox.state().waiting_events, 2);
    std::fs::remove_dir(&letters).unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!((outbox.state().dead_letters, outbox.state().waiting_events), (2, 0));
}

#[tokio::test]
async fn an_event_for_a_partition_that_the_hub_got_later_is_stored_there() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    outbox.enqueue_with("before", SendOptions::to_partition("0")).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    let (namespace, now) =
        (emulator.namespace(), Now { moment: Moment::ORIGIN, unix: SystemTime::now().into() });
    namespace.delete_hub(HUB, now).unwrap();
    namespace.create_hub(HubConfig::new(HUB, 5), now).unwrap();
    outbox.enqueue_with("to the new one", SendOptions::to_partition("4")).await.unwrap();
    outbox.enqueue_with("nowhere", SendOptions::to_partition("77")).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    let read = read_all(&emulator.connection_string()).await;
    assert_eq!((texts(&read), read[0].partition.as_str()), (vec!["to the new one"], "4"));
    let letters = outbox.dead_letters().unwrap();
    assert_eq!((letters.len(), &letters[0].event), (1, &EventData::from("nowhere")));
}

#[tokio::test]
async fn what_is_not_the_events_fault_keeps_them_waiting_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let wrong =
        producer(&emulator.connection_string()).sas_token("SharedAccessSignature sr=x&sig=y&se=1&skn=z");
    let Ok(outbox) = Outbox::open(directory.path(), wrong, options()).await else { return };
    outbox.enqueue("a").await.unwrap();
    becomes("the refusal", || outbox.state().last_error.is_some()).await;
    let state = outbox.state();
    assert_eq!((state.waiting_events, state.dead_letters), (1, 0));
    outbox.close().await;
    let outbox = open(directory.path(), &emulator, options()).await;
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!(texts(&read_all(&emulator.connection_string()).await), ["a"]);
}

#[tokio::test]
async fn a_full_outbox_refuses_or_lets_wait_as_it_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut emulator = Emulator::start(config()).await.unwrap();
    emulator.stop().await.unwrap();
    let few = OutboxOptions { max_events: 3, when_full: WhenFull::Refuse, ..options() };
    let outbox = open(directory.path(), &emulator, few.clone()).await;
    outbox.enqueue_all(["a", "b"], SendOptions::default()).await.unwrap();
    let error = outbox.enqueue_all(["c", "d"], SendOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(error.message().contains("the outbox is full: 2 events"), "{error}");
    outbox.enqueue("c").await.unwrap();
    let never = outbox.enqueue_all(["1", "2", "3", "4"], SendOptions::default()).await.unwrap_err();
    assert_eq!(never.kind(), ErrorKind::InvalidArgument);
    outbox.close().await;

    let short = OutboxOptions { when_full: WhenFull::Wait(Duration::from_millis(50)), ..few.clone() };
    let outbox = open(directory.path(), &emulator, short).await;
    assert_eq!(outbox.enqueue("d").await.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    outbox.close().await;

    let long = OutboxOptions { when_full: WhenFull::Wait(PATIENCE), ..few };
    let outbox = open(directory.path(), &emulator, long).await;
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let outbox = outbox.clone();
            tokio::spawn(async move { outbox.enqueue(n.to_string()).await })
        })
        .collect();
    emulator.start_again().await.unwrap();
    for waiting in waiting {
        tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
    }
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!(read_all(&emulator.connection_string()).await.len(), 13);
}

#[tokio::test]
async fn a_directory_that_is_put_back_from_a_copy_loses_nothing_that_is_new() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let emulator = Emulator::start(config()).await.unwrap();
    let to_0 = || SendOptions::to_partition("0");
    let copied = |from: &Path, to: &Path| {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    for text in ["a", "b", "c"] {
        let outbox = open(directory.path(), &emulator, options()).await;
        outbox.enqueue_with(text, to_0()).await.unwrap();
        outbox.flush(PATIENCE).await.unwrap();
        outbox.close().await;
        if text == "a" {
            copied(directory.path(), copy.path());
        }
    }
    // What is in the copy is one event old; its numbers have been used since.
    let outbox = open(copy.path(), &emulator, options()).await;
    outbox.enqueue_with("d", to_0()).await.unwrap();
    outbox.flush(PATIENCE).await.unwrap();
    assert_eq!(texts(&read_all(&emulator.connection_string()).await), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn what_was_sent_takes_no_room_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let outbox = open(directory.path(), &emulator, options()).await;
    for _ in 0..30 {
        outbox.enqueue(vec![0; 500_000]).await.unwrap();
        outbox.flush(PATIENCE).await.unwrap();
    }
    let state = outbox.state();
    assert_eq!((state.sent, state.waiting_events), (30, 0));
    assert!(state.disk_bytes < 6 << 20, "15 MB went through, and {} are left", state.disk_bytes);
}

#[tokio::test]
async fn an_outbox_belongs_to_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config()).await.unwrap();
    let first = open(directory.path(), &emulator, options()).await;
    let second = Outbox::open(directory.path(), producer(&emulator.connection_string()), options()).await;
    let error = second.unwrap_err();
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    // Letting go takes a moment, as nobody waits for it.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Outbox::open(directory.path(), producer(&emulator.connection_string()), options()).await {
            Ok(_) => break,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
