//! Idempotent producers: numbers, duplicates, gaps, epochs.

use super::*;
use crate::dialect::annotations::{
    BATCH_FORMAT, IDEMPOTENT_PRODUCER, PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQUENCE_NUMBER,
};

/// A producer as the broker granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) link: LinkId,
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) last: i32,
}

impl Client {
    /// Attaches an idempotent producer to `orders/Partitions/0`.
    pub(super) fn producer(
        &mut self,
        id: Option<i64>,
        epoch: Option<i16>,
        last: Option<i32>,
    ) -> Result<Producer, AmqpError> {
        self.producer_at("orders/Partitions/0", id, epoch, last)
    }

    fn producer_at(
        &mut self,
        address: &str,
        id: Option<i64>,
        epoch: Option<i16>,
        last: Option<i32>,
    ) -> Result<Producer, AmqpError> {
        let mut attach = to(address);
        attach.name = format!("{address} {}", self.last_token);
        self.last_token += 1;
        attach.desired_capabilities.push(Symbol::from_static(IDEMPOTENT_PRODUCER));
        attach.properties = vec![
            (Symbol::from_static(PRODUCER_EPOCH), epoch.map_or(Value::Null, Value::Short)),
            (Symbol::from_static(PRODUCER_ID), id.map_or(Value::Null, Value::Long)),
            (Symbol::from_static(PRODUCER_SEQUENCE_NUMBER), last.map_or(Value::Null, Value::Int)),
        ];
        let (link, reply) = self.attach(attach)?;
        assert_eq!(reply.offered_capabilities, [Symbol::from_static(IDEMPOTENT_PRODUCER)]);
        let said = |name: &str| {
            reply.properties.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.clone())
        };
        let (Some(Value::Long(id)), Some(Value::Short(epoch)), Some(Value::Int(last))) =
            (said(PRODUCER_ID), said(PRODUCER_EPOCH), said(PRODUCER_SEQUENCE_NUMBER))
        else {
            panic!("wrong types: {:?}", reply.properties)
        };
        Ok(Producer { link, id, epoch, last })
    }

    /// Sends texts, numbered from `first`, in one batch.
    pub(super) fn number(&mut self, producer: Producer, first: i32, texts: &[&str]) -> Option<Outcome> {
        let token = self.post(producer.link, BATCH_FORMAT, numbered(producer, first, texts));
        self.outcome(token)
    }
}

/// A batch of numbered texts.
pub(super) fn numbered(producer: Producer, first: i32, texts: &[&str]) -> Bytes {
    let mut batch = EventBatch::new(0, None).unwrap();
    for (text, number) in texts.iter().zip(0..) {
        let event = EventData::from(*text)
            .with_annotation(PRODUCER_ID, Value::Long(producer.id))
            .with_annotation(PRODUCER_EPOCH, Value::Short(producer.epoch))
            .with_annotation(PRODUCER_SEQUENCE_NUMBER, Value::Int(first.wrapping_add(number) & i32::MAX));
        assert!(batch.try_add(&event).unwrap());
    }
    let batch = batch.finish();
    [&batch.head[..], &batch.body].concat().into()
}

const ACCEPTED: Option<Outcome> = Some(Outcome::Accepted);

fn stored(namespace: &Namespace) -> Vec<String> {
    let mut client = Client::new(namespace);
    let reader = client.read(StartPosition::earliest(), 1000);
    client.texts(reader)
}

#[test]
fn a_batch_that_comes_again_is_accepted_and_not_stored() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let producer = client.producer(None, None, None).unwrap();
    assert_eq!((producer.epoch, producer.last), (0, -1));
    assert!(producer.id > 0 && producer.id < 1 << 53);
    assert_eq!(client.number(producer, 0, &["a", "b"]), ACCEPTED);
    assert_eq!(client.number(producer, 0, &["a", "b"]), ACCEPTED);
    assert_eq!(client.number(producer, 2, &["c"]), ACCEPTED);
    assert_eq!(client.number(producer, 0, &["a", "b"]), ACCEPTED);
    assert_eq!(client.number(producer, 1, &["b"]), ACCEPTED);
    assert_eq!(client.number(producer, 3, &["d"]), ACCEPTED);
    assert_eq!(stored(&namespace), ["a", "b", "c", "d"]);
}

#[test]
fn numbers_are_the_producers_business_and_no_readers() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let producer = client.producer(None, None, None).unwrap();
    assert_eq!(client.number(producer, 0, &["a", "b"]), ACCEPTED);
    let reader = client.read(StartPosition::earliest(), 10);
    for event in client.received(reader) {
        let annotations = event.annotations().unwrap();
        assert!(
            annotations.iter().all(|(name, _)| !name.as_str().starts_with("com.microsoft:")),
            "{event:?}"
        );
    }
}

#[test]
fn a_gap_and_a_batch_that_is_stored_in_part_are_out_of_order() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let producer = client.producer(None, None, None).unwrap();
    let out_of_order = |outcome| {
        let (condition, text) = rejection(outcome);
        assert_eq!(condition, "com.microsoft:out-of-order-sequence");
        text
    };
    assert_eq!(
        out_of_order(client.number(producer, 1, &["a", "b"])),
        "The 2 events from sequence number 1 do not follow what the producer has published; 0 is expected next."
    );
    // Numbers before the first cannot be duplicates.
    out_of_order(client.number(producer, i32::MAX, &["z"]));
    assert_eq!(client.number(producer, 0, &["a", "b", "c"]), ACCEPTED);
    out_of_order(client.number(producer, 4, &["e"]));
    out_of_order(client.number(producer, 2, &["c", "d"]));
    assert_eq!(client.number(producer, 3, &["d"]), ACCEPTED);
    assert_eq!(stored(&namespace), ["a", "b", "c", "d"]);
}

#[test]
fn events_must_carry_the_links_own_numbers() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let producer = client.producer(None, None, None).unwrap();
    let bare = client.post(producer.link, BATCH_FORMAT, batch(None, &["a"]));
    assert_eq!(rejection(client.outcome(bare)).0, "com.microsoft:argument-error");
    for other in [Producer { id: producer.id + 1, ..producer }, Producer { epoch: 1, ..producer }] {
        assert_eq!(rejection(client.number(other, 0, &["a"])).0, "com.microsoft:argument-error");
    }
    // A link that is no idempotent producer may send the same names; they mean nothing there.
    let plain = client.sender("orders/Partitions/0").unwrap();
    assert_eq!(client.send(plain, BATCH_FORMAT, numbered(producer, 7, &["b"])), ACCEPTED);
    assert_eq!(stored(&namespace), ["b"]);
}

#[test]
fn numbers_go_on_at_zero_behind_the_largest() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let producer = client.producer(Some(77), Some(3), Some(i32::MAX - 2)).unwrap();
    assert_eq!((producer.id, producer.epoch, producer.last), (77, 3, i32::MAX - 2));
    assert_eq!(client.number(producer, i32::MAX - 1, &["a", "b", "c"]), ACCEPTED);
    assert_eq!(client.number(producer, i32::MAX - 1, &["a", "b", "c"]), ACCEPTED);
    assert_eq!(client.number(producer, 1, &["d"]), ACCEPTED);
    let again = client.producer(Some(77), Some(3), None).unwrap();
    assert_eq!(again.last, 1);
    assert_eq!(stored(&namespace), ["a", "b", "c", "d"]);
}

#[test]
fn a_producer_that_attaches_again_hears_its_own_number_or_the_brokers() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let producer = client.producer(None, None, None).unwrap();
    assert_eq!(client.number(producer, 0, &["a", "b"]), ACCEPTED);
    let filled_in = client.producer(Some(producer.id), None, None).unwrap();
    assert_eq!((filled_in.id, filled_in.epoch, filled_in.last), (producer.id, 0, 1));
    // The answer to "b" was lost: the producer is at 0 and sends "b" again.
    let echoed = client.producer(Some(producer.id), Some(0), Some(0)).unwrap();
    assert_eq!(echoed.last, 0);
    assert_eq!(client.number(echoed, 1, &["b"]), ACCEPTED);
    assert_eq!(client.number(echoed, 2, &["c"]), ACCEPTED);
    assert_eq!(stored(&namespace), ["a", "b", "c"]);
}

#[test]
fn the_higher_epoch_takes_over_and_the_lower_one_is_refused() {
    let namespace = namespace();
    let (mut old, mut new) = (Client::new(&namespace), Client::new(&namespace));
    let first = old.producer(None, None, None).unwrap();
    assert_eq!(old.number(first, 0, &["a"]), ACCEPTED);
    let second = new.producer(Some(first.id), Some(1), None).unwrap();
    assert_eq!((second.epoch, second.last), (1, 0));
    let stolen = "com.microsoft:producer-epoch-stolen";
    assert_eq!(rejection(old.number(first, 1, &["late"])).0, stolen);
    let refused = old.producer(Some(first.id), Some(0), Some(0)).unwrap_err();
    assert_eq!(said(&refused), (stolen, "Another link is this producer now, with epoch '1'."));
    assert_eq!(new.number(second, 1, &["b"]), ACCEPTED);
    // The newer one wins when they are equal: it is what comes back after a loss that the broker has not noticed.
    let third = old.producer(Some(first.id), Some(1), Some(1)).unwrap();
    assert_eq!(rejection(new.number(second, 2, &["late"])).0, stolen);
    assert_eq!(old.number(third, 2, &["c"]), ACCEPTED);
    assert_eq!(stored(&namespace), ["a", "b", "c"]);
}

#[test]
fn producers_are_those_of_one_partition() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let here = client.producer(Some(5), None, None).unwrap();
    let there = client.producer_at("orders/Partitions/1", Some(5), Some(0), None).unwrap();
    assert_eq!(client.number(here, 0, &["a"]), ACCEPTED);
    assert_eq!(client.number(there, 0, &["b"]), ACCEPTED);
    assert_eq!(stored(&namespace), ["a"]);
    for address in ["orders", "orders/Publishers/tab"] {
        let (condition, text) = refused(client.producer_at(address, None, None, None));
        assert_eq!(condition, "amqp:not-allowed");
        assert!(text.contains("sends to one partition"), "{text}");
    }
    let (condition, _) = refused(client.producer(None, None, Some(-2)));
    assert_eq!(condition, "com.microsoft:argument-error");
}

#[test]
fn a_producer_is_forgotten_only_when_there_are_too_many_and_never_while_it_is_there() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let kept = client.producer(Some(1), None, None).unwrap();
    assert_eq!(client.number(kept, 0, &["a"]), ACCEPTED);
    let mut guest = Client::new(&namespace);
    let gone = guest.producer(Some(2), None, None).unwrap();
    assert_eq!(guest.number(gone, 0, &["b"]), ACCEPTED);
    for id in 3..=4097 {
        // A connection has so many sessions only.
        if id % 200 == 0 {
            guest = Client::new(&namespace);
        }
        guest.now = at(Duration::from_millis(id as u64));
        let link = guest.producer(Some(id), None, None).unwrap().link;
        guest.engine.detach(link, true, None);
        guest.take_events();
    }
    assert_eq!(client.producer(Some(2), None, None).unwrap().last, -1, "the quietest one had to go");
    assert_eq!(client.number(kept, 0, &["a"]), ACCEPTED);
    assert_eq!(client.number(kept, 1, &["c"]), ACCEPTED);
    assert_eq!(stored(&namespace), ["a", "b", "c"]);
}
