//! The journal: nothing is shown or acknowledged before it is durable, and everything that was comes back.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::idempotent::numbered;
use super::journal::{
    AppendDone, HubId, HubRecord, Journal, JournalBatch, JournalError, ProducerRecord, Restore,
};
use super::*;
use crate::dialect::annotations::BATCH_FORMAT;

/// A journal in memory that commits when it is told to.
#[derive(Default)]
struct Paper(Mutex<Sheets>);

#[derive(Default)]
struct Sheets {
    hubs: Vec<HubRecord>,
    written: Vec<(HubId, u32, JournalBatch)>,
    waiting: VecDeque<(HubId, u32, JournalBatch, AppendDone)>,
    trims: Vec<(HubId, u32, i64)>,
    producers: Vec<(HubId, u32, ProducerRecord)>,
    at_once: bool,
}

impl Journal for Paper {
    fn append(&self, hub: HubId, partition: u32, batch: JournalBatch, done: AppendDone) {
        let mut sheets = self.0.lock().unwrap();
        sheets.waiting.push_back((hub, partition, batch, done));
        if sheets.at_once {
            drop(sheets);
            self.commit(1, true);
        }
    }

    fn trim(&self, hub: HubId, partition: u32, before_sequence: i64) {
        self.0.lock().unwrap().trims.push((hub, partition, before_sequence));
    }

    fn put_producer(&self, hub: HubId, partition: u32, producer: ProducerRecord) {
        let known = self.producer(hub, partition, producer.id);
        self.keep_producer(hub, partition, producer.over(known));
    }

    fn remove_producer(&self, hub: HubId, partition: u32, producer: i64) {
        let producers = &mut self.0.lock().unwrap().producers;
        producers.retain(|(h, p, known)| (*h, *p, known.id) != (hub, partition, producer));
    }

    fn put_hub(&self, hub: HubRecord) {
        let hubs = &mut self.0.lock().unwrap().hubs;
        hubs.retain(|known| known.id != hub.id);
        hubs.push(hub);
    }

    fn remove_hub(&self, hub: HubId) {
        let mut sheets = self.0.lock().unwrap();
        sheets.hubs.retain(|known| known.id != hub);
        sheets.written.retain(|(known, ..)| *known != hub);
    }
}

impl Paper {
    /// Commits what waits, or fails to; the rules of [`Journal::append`] apply.
    fn commit(&self, count: usize, well: bool) {
        for _ in 0..count {
            let Some((hub, partition, batch, done)) = self.0.lock().unwrap().waiting.pop_front() else {
                return;
            };
            let follows = self.next(hub, partition) == batch.first_sequence;
            if well && follows {
                if let Some(producer) = batch.producer {
                    self.keep_producer(hub, partition, producer);
                }
                self.0.lock().unwrap().written.push((hub, partition, batch));
                done.call(Ok(()));
            } else {
                done.call(Err(JournalError("the disk is full".to_owned())));
            }
        }
    }

    fn next(&self, hub: HubId, partition: u32) -> i64 {
        let sheets = self.0.lock().unwrap();
        let of_partition = sheets.written.iter().rev().find(|(h, p, _)| (*h, *p) == (hub, partition));
        of_partition.map_or(0, |(_, _, batch)| batch.first_sequence + batch.events.len() as i64)
    }

    fn producer(&self, hub: HubId, partition: u32, id: i64) -> Option<ProducerRecord> {
        let sheets = self.0.lock().unwrap();
        let mut known = sheets.producers.iter();
        known.find(|(h, p, known)| (*h, *p, known.id) == (hub, partition, id)).map(|(.., known)| *known)
    }

    fn keep_producer(&self, hub: HubId, partition: u32, producer: ProducerRecord) {
        self.remove_producer(hub, partition, producer.id);
        self.0.lock().unwrap().producers.push((hub, partition, producer));
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }

    /// What a process that starts now would find.
    fn restore(&self) -> Restore {
        let sheets = self.0.lock().unwrap();
        let mut restore = Restore::new();
        sheets.hubs.iter().cloned().for_each(|hub| restore.hub(hub));
        sheets
            .written
            .iter()
            .cloned()
            .for_each(|(hub, partition, batch)| restore.batch(hub, partition, batch));
        for (hub, partition, producer) in &sheets.producers {
            restore.producer(*hub, *partition, *producer);
        }
        restore
    }
}

fn config() -> NamespaceConfig {
    let mut orders = HubConfig::new("orders", 2);
    orders.consumer_groups.push("audit".to_owned());
    NamespaceConfig { hubs: vec![orders], ..NamespaceConfig::default() }
}

fn on(paper: &Arc<Paper>) -> Namespace {
    Namespace::restore(config(), paper.restore(), paper.clone(), start()).unwrap()
}

#[test]
fn events_are_acknowledged_and_shown_only_once_they_are_durable() {
    let paper = Arc::new(Paper::default());
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 100);
    let one = client.post(sender, 0, encode_event(&EventData::from("a")).unwrap());
    let two = client.post(sender, BATCH_FORMAT, batch(None, &["b", "c"]));
    assert_eq!((client.outcome(one), client.texts(reader)), (None, vec![]));
    assert_eq!(namespace.partition("orders", 0, start()).unwrap().last_sequence, -1);
    let before = client.wakes.load(Ordering::Relaxed);
    paper.commit(1, true);
    assert!(client.wakes.load(Ordering::Relaxed) > before);
    assert_eq!((client.outcome(one), client.outcome(two)), (Some(Outcome::Accepted), None));
    assert_eq!(client.texts(reader), ["a"]);
    paper.commit(1, true);
    assert_eq!(client.outcome(two), Some(Outcome::Accepted));
    assert_eq!(client.texts(reader), ["b", "c"]);
}

#[test]
fn settled_events_are_shown_once_they_are_durable_and_never_answered() {
    let paper = Arc::new(Paper::default());
    let mut client = Client::new(&on(&paper));
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 100);
    let body = encode_event(&EventData::from("quiet")).unwrap();
    let message = Outgoing { token: 9, message_format: 0, settled: true, head: Bytes::new(), body };
    client.engine.send(sender, message).unwrap();
    assert_eq!(client.texts(reader), Vec::<String>::new());
    paper.commit(1, true);
    let mut sent = 0;
    while let Some(bytes) = client.broker.poll_output(client.now) {
        sent += bytes.windows(3).filter(|w| *w == [0x00, 0x53, 0x15]).count();
        client.engine.feed(bytes, client.now.moment);
    }
    assert_eq!(sent, 0, "no disposition");
    assert_eq!(client.texts(reader), ["quiet"]);
}

#[test]
fn when_the_journal_fails_everything_on_its_way_is_rejected_and_numbers_go_on_without_a_gap() {
    let paper = Arc::new(Paper::default());
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let reader = client.read(StartPosition::earliest(), 100);
    let tokens: Vec<u64> = ["a", "b", "c"]
        .iter()
        .map(|text| client.post(sender, 0, encode_event(&EventData::from(*text)).unwrap()))
        .collect();
    client.pump();
    paper.commit(1, true);
    paper.commit(1, false);
    assert_eq!(client.outcome(tokens[0]), Some(Outcome::Accepted));
    for token in &tokens[1..] {
        let (condition, text) = rejection(client.outcome(*token));
        assert_eq!(condition, "amqp:internal-error");
        assert_eq!(text, "The events could not be made durable: the disk is full");
    }
    // The third is still on its way to the disk, and fails there because the second is missing.
    paper.commit(1, true);
    let again = client.post(sender, 0, encode_event(&EventData::from("again")).unwrap());
    client.pump();
    paper.commit(1, true);
    assert_eq!(client.outcome(again), Some(Outcome::Accepted));
    let events = client.received(reader);
    let seen: Vec<_> = events.iter().map(|e| (e.sequence_number(), e.body_text().unwrap())).collect();
    assert_eq!(seen, [(0, "a".to_owned()), (1, "again".to_owned())]);
    assert_eq!(paper.waiting(), 0);
}

#[test]
fn a_namespace_goes_on_where_its_journal_ended() {
    let paper = Arc::new(Paper::default());
    paper.0.lock().unwrap().at_once = true;
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    client.now = seconds(40);
    let sender = client.sender("orders/Partitions/1").unwrap();
    client.publish(sender, &["a", "b"]);
    assert_eq!(client.send(sender, BATCH_FORMAT, batch(Some("k"), &["c", "d"])), Some(Outcome::Accepted));
    namespace.create_hub(HubConfig::new("late", 3), seconds(50)).unwrap();
    namespace.create_consumer_group("late", "g").unwrap();
    namespace.create_hub(HubConfig::new("gone", 3), seconds(50)).unwrap();
    namespace.delete_hub("gone", seconds(50)).unwrap();
    let address = "orders/ConsumerGroups/$Default/Partitions/1";
    let all = |client: &mut Client| {
        let link = client.receiver(address, StartPosition::earliest()).unwrap();
        client.engine.set_credit(link, 100);
        client.received(link).iter().map(|event| event.raw().clone()).collect::<Vec<_>>()
    };
    let before = all(&mut client);
    let (hubs, info) = (namespace.hubs(), namespace.partition("orders", 1, seconds(50)));
    drop((client, namespace));

    let restored = on(&paper);
    assert_eq!((restored.hubs(), restored.partition("orders", 1, seconds(50))), (hubs, info));
    let mut client = Client::new(&restored);
    assert_eq!(all(&mut client), before, "byte for byte");
    let sender = client.sender("orders/Partitions/1").unwrap();
    client.publish(sender, &["e"]);
    let link = client.receiver(address, StartPosition::sequence_number(3)).unwrap();
    client.engine.set_credit(link, 100);
    let event = client.received(link).remove(0);
    assert_eq!((event.sequence_number(), event.body_text().unwrap()), (4, "e".to_owned()));
    assert_eq!(event.enqueued_time(), seconds(40).unix, "time does not go back although the clock did");
}

#[test]
fn a_restored_partition_that_retention_emptied_goes_on_behind_its_last_event() {
    let paper = Arc::new(Paper::default());
    paper.0.lock().unwrap().at_once = true;
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["a", "b", "c"]);
    drop((client, namespace));
    let much_later = seconds(100_000);
    let restored = Namespace::restore(config(), paper.restore(), paper.clone(), much_later).unwrap();
    let info = restored.partition("orders", 0, much_later).unwrap();
    assert_eq!((info.begin_sequence, info.last_sequence, info.is_empty), (3, 2, true));
    assert_eq!(restored.stored_bytes(), 0);
}

#[test]
fn the_journal_is_told_what_retention_dropped_but_never_to_drop_the_newest_event() {
    let paper = Arc::new(Paper::default());
    paper.0.lock().unwrap().at_once = true;
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let texts: Vec<String> = (0..2000).map(|i| i.to_string()).collect();
    for chunk in texts.chunks(100) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        assert_eq!(client.send(sender, BATCH_FORMAT, batch(None, &chunk)), Some(Outcome::Accepted));
    }
    namespace.sweep(seconds(10));
    assert_eq!(paper.0.lock().unwrap().trims, []);
    namespace.sweep(seconds(100_000));
    let trims: Vec<_> = paper.0.lock().unwrap().trims.iter().map(|(_, p, before)| (*p, *before)).collect();
    assert_eq!(trims, [(0, 1999)]);
}

#[test]
fn what_contradicts_itself_is_not_restored() {
    let paper = Arc::new(Paper::default());
    paper.0.lock().unwrap().at_once = true;
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.publish(sender, &["a", "b", "c"]);
    drop((client, namespace));
    let mut other = config();
    other.hubs[0].partitions = 3;
    let refused = Namespace::restore(other, paper.restore(), paper.clone(), start()).err().unwrap();
    assert!(refused.to_string().contains("has 2 partitions"), "{refused}");
    paper.0.lock().unwrap().written.remove(1);
    let refused = Namespace::restore(config(), paper.restore(), paper.clone(), start()).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "partition 0 of hub 'orders' cannot be restored: event 1 is missing, 2 follows"
    );
}

#[test]
fn publications_on_their_way_hold_back_their_links_credit() {
    let paper = Arc::new(Paper::default());
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    for _ in 0..5000 {
        client.post(sender, 0, encode_event(&EventData::from("x")).unwrap());
    }
    client.pump();
    assert!(paper.waiting() <= 1000, "{}", paper.waiting());
    let mut accepted = 0;
    for _ in 0..20 {
        paper.commit(500, true);
        accepted += client.take_events().iter().filter(|e| matches!(e, Event::Outcome { .. })).count();
    }
    assert_eq!(accepted, 5000);
}

#[test]
fn a_hub_that_is_deleted_answers_what_was_on_its_way() {
    let paper = Arc::new(Paper::default());
    let namespace = on(&paper);
    let answer = Arc::new(Mutex::new(None));
    let slot = answer.clone();
    let done = PublishDone::new(move |outcome| *slot.lock().unwrap() = Some(outcome));
    let events = vec![encode_event(&EventData::from("x")).unwrap()];
    namespace.publish("orders", Route::Partition(0), events, start(), done);
    assert!(answer.lock().unwrap().is_none());
    namespace.delete_hub("orders", start()).unwrap();
    let error = answer.lock().unwrap().take().unwrap().unwrap_err();
    assert_eq!(error.condition.as_str(), "amqp:not-found");
    paper.commit(10, true);
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// A client publishes so many events to a partition.
    Publish { client: usize, partition: u32, events: usize },
    /// The journal commits so many appends.
    Commit(usize),
    /// The journal fails one append.
    Fail,
    /// Everyone reads and hears what became of their publications.
    Pump,
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![
        5 => (0..2_usize, 0..2_u32, 1..4_usize)
            .prop_map(|(client, partition, events)| Step::Publish { client, partition, events }),
        3 => (1..4_usize).prop_map(Step::Commit),
        1 => Just(Step::Fail),
        2 => Just(Step::Pump),
    ]
}

/// A client that publishes to both partitions and knows what it was told.
struct Publisher {
    client: Client,
    links: Vec<LinkId>,
    /// By token: partition, texts, and what became of them.
    told: Vec<(u64, u32, Vec<String>, Option<bool>)>,
}

impl Publisher {
    fn listen(&mut self) {
        for (token, _, _, told) in &mut self.told {
            if told.is_none() {
                *told = self.client.outcome(*token).map(|outcome| outcome == Outcome::Accepted);
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_journal_does_each_acknowledged_batch_is_there_once_whole_and_in_order(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let paper = Arc::new(Paper::default());
        let namespace = on(&paper);
        let address = |partition: u32| format!("orders/ConsumerGroups/$Default/Partitions/{partition}");
        let mut publishers: Vec<Publisher> = (0..2)
            .map(|_| {
                let mut client = Client::new(&namespace);
                let links = (0..2).map(|p| client.sender(&format!("orders/Partitions/{p}")).unwrap()).collect();
                Publisher { client, links, told: Vec::new() }
            })
            .collect();
        let mut reader = Client::new(&namespace);
        let reading: Vec<LinkId> = (0..2)
            .map(|p| {
                let link = reader.receiver(&address(p), StartPosition::earliest()).unwrap();
                reader.engine.set_credit(link, 10_000);
                link
            })
            .collect();
        let mut seen = vec![Vec::new(); 2];
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Publish { client, partition, events } => {
                    let publisher = &mut publishers[client];
                    let texts: Vec<String> = (0..events).map(|i| format!("{client}:{number}:{i}")).collect();
                    let refs: Vec<&str> = texts.iter().map(String::as_str).collect();
                    let link = publisher.links[partition as usize];
                    let token = publisher.client.post(link, BATCH_FORMAT, batch(None, &refs));
                    publisher.client.pump();
                    publisher.told.push((token, partition, texts, None));
                }
                Step::Commit(count) => paper.commit(count, true),
                Step::Fail => paper.commit(1, false),
                Step::Pump => {
                    publishers.iter_mut().for_each(Publisher::listen);
                    for (seen, link) in seen.iter_mut().zip(&reading) {
                        seen.extend(reader.texts(*link));
                    }
                }
            }
        }
        paper.commit(usize::MAX, true);
        publishers.iter_mut().for_each(Publisher::listen);
        for (seen, link) in seen.iter_mut().zip(&reading) {
            seen.extend(reader.texts(*link));
        }
        for (partition, seen) in seen.iter().enumerate() {
            let mut left: Vec<&str> = seen.iter().map(String::as_str).collect();
            for publisher in &publishers {
                let own = publisher.told.iter().filter(|(_, p, ..)| *p as usize == partition);
                let accepted: Vec<&Vec<String>> =
                    own.filter(|(.., told)| told.expect("everyone is answered")).map(|(_, _, t, _)| t).collect();
                let mut from = 0;
                for texts in accepted {
                    let at = seen[from..].iter().position(|text| *text == texts[0]);
                    let at = from + at.expect("an acknowledged batch is missing, or out of order");
                    assert_eq!(&seen[at..at + texts.len()], &texts[..], "whole and contiguous");
                    left.retain(|text| !texts.iter().any(|own| own == text));
                    from = at + texts.len();
                }
            }
            assert_eq!(left, Vec::<&str>::new(), "nothing that was refused, and nothing twice");
        }
        drop((publishers, reader, namespace));
        let restored = on(&paper);
        let mut client = Client::new(&restored);
        for (partition, seen) in seen.iter().enumerate() {
            let link = client.receiver(&address(partition as u32), StartPosition::earliest()).unwrap();
            client.engine.set_credit(link, 10_000);
            assert_eq!(&client.texts(link), seen, "what was shown survives");
        }
    }
}

#[test]
fn what_an_idempotent_producer_has_published_is_known_to_the_next_process_as_far_as_it_is_durable() {
    let paper = Arc::new(Paper::default());
    let accepted = Some(Outcome::Accepted);
    let id = {
        let mut client = Client::new(&on(&paper));
        let producer = client.producer(None, Some(4), None).unwrap();
        let one = client.post(producer.link, BATCH_FORMAT, numbered(producer, 0, &["a", "b"]));
        client.pump();
        paper.commit(1, true);
        assert_eq!(client.outcome(one), accepted);
        client.post(producer.link, BATCH_FORMAT, numbered(producer, 2, &["never durable"]));
        client.pump();
        assert_eq!(paper.waiting(), 1);
        paper.0.lock().unwrap().waiting.clear();
        producer.id
    };
    let namespace = on(&paper);
    paper.0.lock().unwrap().at_once = true;
    let mut client = Client::new(&namespace);
    let stolen = client.producer(Some(id), Some(3), None).unwrap_err();
    assert_eq!(said(&stolen).0, "com.microsoft:producer-epoch-stolen");
    let producer = client.producer(Some(id), Some(4), None).unwrap();
    assert_eq!(producer.last, 1);
    assert_eq!(client.number(producer, 0, &["a", "b"]), accepted);
    assert_eq!(client.number(producer, 2, &["c"]), accepted);
    let reader = client.read(StartPosition::earliest(), 100);
    assert_eq!(client.texts(reader), ["a", "b", "c"]);
}

#[test]
fn a_duplicate_is_accepted_only_once_what_it_repeats_is_durable() {
    let paper = Arc::new(Paper::default());
    let namespace = on(&paper);
    let mut client = Client::new(&namespace);
    let producer = client.producer(None, None, None).unwrap();
    let post = |client: &mut Client, first, texts: &[&str]| {
        client.post(producer.link, BATCH_FORMAT, numbered(producer, first, texts))
    };
    let first = post(&mut client, 0, &["a"]);
    let again = post(&mut client, 0, &["a"]);
    let behind = post(&mut client, 1, &["b"]);
    assert_eq!((client.outcome(first), client.outcome(again), paper.waiting()), (None, None, 2));
    paper.commit(1, true);
    let accepted = Some(Outcome::Accepted);
    assert_eq!((client.outcome(first), client.outcome(again)), (accepted.clone(), accepted.clone()));
    assert_eq!(client.outcome(behind), None);
    paper.commit(1, false);
    assert_eq!(rejection(client.outcome(behind)).0, "amqp:internal-error");
    // What was taken back is expected again.
    paper.0.lock().unwrap().at_once = true;
    let behind = post(&mut client, 1, &["b"]);
    assert_eq!(client.outcome(behind), accepted);
    let reader = client.read(StartPosition::earliest(), 100);
    assert_eq!(client.texts(reader), ["a", "b"]);
}
