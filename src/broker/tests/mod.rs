//! Clients made of the engine's own client role, and the broker, in one thread without sockets or clocks.

mod authorization;
mod connections;
mod durability;
mod epochs;
mod faults;
mod faults_on_links;
mod idempotent;
mod namespaces;
mod publishing;
mod reading;
mod requests;
mod selectors;
mod speed;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::amqp::{
    AmqpError, Attach, CloseReason, Config, Connection, Event, Limits, LinkId, Outcome, Outgoing, Role,
    SaslProfile, SessionId, Source, Target,
};
use crate::dialect::cbs::{self, TokenType};
use crate::dialect::codec::{EventBatch, encode_event};
use crate::dialect::event::EventData;
use crate::dialect::received::ReceivedEvent;
use crate::dialect::rpc::{Caller, Reply};
use crate::dialect::selector;
use crate::model::position::StartPosition;
use crate::model::sas::sign;
use crate::model::value::{Described, Symbol, Value};

/// What the wall clock shows at first, in Unix seconds.
const START: i64 = 1_767_225_600;
/// A token's expiry that is never reached.
const LATER: i64 = START + 1_000_000;

/// `after` the start.
fn at(after: Duration) -> Now {
    Now {
        moment: Moment::ORIGIN + after,
        unix: Timestamp::from_millis(START * 1000 + after.as_millis() as i64),
    }
}

fn start() -> Now {
    at(Duration::ZERO)
}

fn seconds(seconds: u64) -> Now {
    at(Duration::from_secs(seconds))
}

/// A namespace with the hub `orders` of four partitions and the consumer group `audit`.
fn namespace() -> Namespace {
    with_config(|_| {})
}

fn with_config(change: impl FnOnce(&mut NamespaceConfig)) -> Namespace {
    let mut orders = HubConfig::new("orders", 4);
    orders.consumer_groups.push("audit".to_owned());
    let mut config = NamespaceConfig { hubs: vec![orders], ..NamespaceConfig::default() };
    change(&mut config);
    Namespace::new(config, start()).unwrap()
}

/// A client and its connection.
struct Client {
    engine: Connection,
    broker: BrokerConnection,
    now: Now,
    wakes: Arc<AtomicUsize>,
    events: Vec<Event>,
    last_token: u64,
    /// What the client has sent, when that is wanted.
    recording: Option<Vec<u8>>,
}

impl Client {
    /// A client that may do everything in the namespace.
    fn new(namespace: &Namespace) -> Client {
        let mut client = Client::anonymous(namespace);
        let reply = client.put_token("sb://localhost", "any", "SAS_KEY_VALUE", LATER);
        assert_eq!(reply.status, 202, "{}", reply.description);
        client
    }

    /// A client without any grant.
    fn anonymous(namespace: &Namespace) -> Client {
        let mut client = Client::dial(namespace, SaslProfile::Anonymous, start()).unwrap();
        client.pump();
        assert!(matches!(client.events.remove(0), Event::Opened(_)));
        client
    }

    fn dial(namespace: &Namespace, sasl: SaslProfile, now: Now) -> Result<Client, Refused> {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = wakes.clone();
        let waker = Waker::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let config = Config {
            container_id: "client".to_owned(),
            hostname: Some("localhost".to_owned()),
            properties: Vec::new(),
            desired_capabilities: Vec::new(),
            idle_timeout: None,
            sasl,
            limits: Limits {
                max_frame_size: 65_536,
                channel_max: 255,
                handle_max: 255,
                max_links: 10_000,
                max_message_size: 1 << 24,
                max_unfinished_bytes: Limits::default().max_unfinished_bytes,
                session_window: 5000,
                handshake_timeout: Duration::from_secs(10),
            },
        };
        Ok(Client {
            engine: Connection::client(config, now.moment),
            broker: BrokerConnection::new(namespace.clone(), waker, now)?,
            now,
            wakes,
            events: Vec::new(),
            last_token: 0,
            recording: None,
        })
    }

    /// Moves bytes to and fro until both sides are quiet.
    fn pump(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(bytes) = self.engine.poll_output(self.now.moment) {
                if let Some(recording) = &mut self.recording {
                    recording.extend_from_slice(&bytes);
                }
                self.broker.feed(bytes, self.now);
                quiet = false;
            }
            while let Some(bytes) = self.broker.poll_output(self.now) {
                self.engine.feed(bytes, self.now.moment);
                quiet = false;
            }
            while let Some(event) = self.engine.poll_event() {
                self.events.push(event);
            }
            if quiet {
                return;
            }
        }
    }

    /// Lets time pass for this client's connection.
    fn tick(&mut self, now: Now) {
        self.now = now;
        self.broker.tick(now);
        self.pump();
    }

    /// Lets time pass until `second`, with a sign of life every minute.
    fn wait(&mut self, second: u64) {
        let from = self.now.moment.since_origin().as_secs();
        for second in (from..=second).step_by(60).chain([second]) {
            self.broker.feed(Bytes::from_static(&[0, 0, 0, 8, 2, 0, 0, 0]), seconds(second));
            self.tick(seconds(second));
        }
    }

    /// What happened, and nothing twice.
    fn take_events(&mut self) -> Vec<Event> {
        self.pump();
        std::mem::take(&mut self.events)
    }

    /// Takes the first event for which `wanted` gives something.
    fn take<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        self.pump();
        let found = self.events.iter().enumerate().find_map(|(i, event)| Some((i, wanted(event)?)));
        let (index, value) = found?;
        self.events.remove(index);
        Some(value)
    }

    fn session(&mut self) -> SessionId {
        let session = self.engine.begin().unwrap();
        self.take(|event| matches!(event, Event::SessionBegan(_)).then_some(())).unwrap();
        session
    }

    /// Attaches on a session of its own; the broker's side of the link, or why there is none.
    fn attach(&mut self, attach: Attach) -> Result<(LinkId, Attach), AmqpError> {
        let session = self.session();
        self.attach_on(session, attach)
    }

    fn attach_on(&mut self, session: SessionId, attach: Attach) -> Result<(LinkId, Attach), AmqpError> {
        let link = self.engine.attach(session, attach).unwrap();
        self.take(|event| match event {
            Event::Attached { link: l, attach } if *l == link => Some(Ok((link, (**attach).clone()))),
            Event::Detached { link: l, error, closed } if *l == link => {
                assert!(closed, "refused links are closed");
                Some(Err(error.clone().unwrap()))
            }
            _ => None,
        })
        .unwrap()
    }

    fn sender(&mut self, address: &str) -> Result<LinkId, AmqpError> {
        self.attach(to(address)).map(|(link, _)| link)
    }

    fn receiver(&mut self, address: &str, position: StartPosition) -> Result<LinkId, AmqpError> {
        self.attach(from(address, position)).map(|(link, _)| link)
    }

    /// Reads `orders/ConsumerGroups/$Default/Partitions/0` from `position` with `credit`.
    fn read(&mut self, position: StartPosition, credit: u32) -> LinkId {
        let link = self.receiver(PARTITION, position).unwrap();
        self.engine.set_credit(link, credit);
        link
    }

    /// Sends a message and says what became of it.
    fn send(&mut self, link: LinkId, message_format: u32, body: Bytes) -> Option<Outcome> {
        let token = self.post(link, message_format, body);
        self.outcome(token)
    }

    /// Sends a message without waiting.
    fn post(&mut self, link: LinkId, message_format: u32, body: Bytes) -> u64 {
        self.last_token += 1;
        let token = self.last_token;
        let message = Outgoing { token, message_format, settled: false, head: Bytes::new(), body };
        self.engine.send(link, message).unwrap();
        token
    }

    fn outcome(&mut self, token: u64) -> Option<Outcome> {
        self.take(|event| match event {
            Event::Outcome { token: t, outcome, .. } if *t == token => Some(outcome.clone()),
            _ => None,
        })
    }

    /// Publishes texts one by one, and expects them to be taken.
    fn publish(&mut self, link: LinkId, texts: &[&str]) {
        for text in texts {
            let outcome = self.send(link, 0, encode_event(&EventData::from(*text)).unwrap());
            assert_eq!(outcome, Some(Outcome::Accepted));
        }
    }

    /// What arrived on `link`.
    fn received(&mut self, link: LinkId) -> Vec<ReceivedEvent> {
        let mut received = Vec::new();
        while let Some(payload) = self.take(|event| match event {
            Event::Delivery { link: l, delivery } if *l == link => {
                assert!(delivery.settled && delivery.message_format == 0);
                Some(delivery.payload.clone())
            }
            _ => None,
        }) {
            received.push(ReceivedEvent::parse(payload).unwrap());
        }
        received
    }

    fn texts(&mut self, link: LinkId) -> Vec<String> {
        self.received(link).iter().map(|event| event.body_text().unwrap()).collect()
    }

    /// The error with which the broker has detached `link`.
    fn detached(&mut self, link: LinkId) -> Option<AmqpError> {
        self.take(|event| match event {
            Event::Detached { link: l, error, .. } if *l == link => Some(error.clone().unwrap()),
            _ => None,
        })
    }

    fn closed(&mut self) -> Option<CloseReason> {
        self.take(|event| match event {
            Event::Closed(reason) => Some(reason.clone()),
            _ => None,
        })
    }

    /// Puts a token as Python does: a pair of links that is used once and ended with its session.
    fn put_token(&mut self, audience: &str, key_name: &str, key: &str, expiry: i64) -> Reply {
        self.put(audience, TokenType::Sas, sign(audience, key_name, key, expiry))
    }

    fn put(&mut self, audience: &str, token_type: TokenType, token: String) -> Reply {
        let caller = Caller { message_id: Some(Value::Ulong(7)), reply_to: Some("here".to_owned()) };
        let request =
            cbs::Request { caller, token_type, audience: audience.to_owned(), token, expiration: None };
        self.ask("$cbs", request.encode())
    }

    fn ask(&mut self, node: &str, request: Bytes) -> Reply {
        let session = self.session();
        let (requests, replies) = self.pair(session, node, "here");
        assert_eq!(self.send(requests, 0, request), Some(Outcome::Accepted));
        let reply = self.reply(replies).unwrap();
        self.engine.end(session, None);
        self.pump();
        reply
    }

    /// A link for requests and one for replies, whose target is `reply_to`.
    fn pair(&mut self, session: SessionId, node: &str, reply_to: &str) -> (LinkId, LinkId) {
        let (requests, _) = self.attach_on(session, to(node)).unwrap();
        let mut replies = Attach::new("replies", Role::Receiver);
        replies.source = Some(Source::at(node));
        replies.target = Some(Target { address: Some(reply_to.to_owned()) });
        let (replies, _) = self.attach_on(session, replies).unwrap();
        self.engine.set_credit(replies, 10);
        (requests, replies)
    }

    fn reply(&mut self, link: LinkId) -> Option<Reply> {
        self.take(|event| match event {
            Event::Delivery { link: l, delivery } if *l == link => {
                assert!(delivery.settled, "replies are settled");
                Some(Reply::parse(&delivery.payload).unwrap())
            }
            _ => None,
        })
    }
}

/// The partition that most tests read.
const PARTITION: &str = "orders/ConsumerGroups/$Default/Partitions/0";

fn to(address: &str) -> Attach {
    let mut attach = Attach::new(format!("to {address}"), Role::Sender);
    attach.target = Some(Target { address: Some(address.to_owned()) });
    attach
}

fn from(address: &str, position: StartPosition) -> Attach {
    let mut attach = Attach::new(format!("from {address}"), Role::Receiver);
    attach.source =
        Some(Source { address: Some(address.to_owned()), filter: vec![selector::filter(&position)] });
    attach
}

fn with_selector(address: &str, text: &str) -> Attach {
    let mut attach = from(address, StartPosition::earliest());
    let value = Described { descriptor: Value::Ulong(selector::FILTER_CODE), value: Value::from(text) };
    attach.source.as_mut().unwrap().filter =
        vec![(Symbol::from_static(selector::FILTER_NAME), Value::Described(Box::new(value)))];
    attach
}

/// A batch of texts, encoded.
fn batch(key: Option<&str>, texts: &[&str]) -> Bytes {
    let mut batch = EventBatch::new(0, key.map(str::to_owned)).unwrap();
    for text in texts {
        assert!(batch.try_add(&EventData::from(*text)).unwrap());
    }
    let batch = batch.finish();
    [&batch.head[..], &batch.body].concat().into()
}

/// Condition and text, the latter without the trailer, which must be there.
fn said(error: &AmqpError) -> (&str, &str) {
    let text = error.description.as_deref().unwrap();
    let (text, trailer) = text.split_once(" TrackingId:").unwrap_or_else(|| panic!("no trailer: {text}"));
    assert!(trailer.contains("_G0, SystemTracker:") && trailer.contains(", Timestamp:2026-01-"), "{trailer}");
    (error.condition.as_str(), text)
}

fn refused<T>(result: Result<T, AmqpError>) -> (String, String) {
    let error = result.err().expect("it was accepted");
    let (condition, text) = said(&error);
    (condition.to_owned(), text.to_owned())
}

fn rejection(outcome: Option<Outcome>) -> (String, String) {
    let Some(Outcome::Rejected(Some(error))) = outcome else { panic!("not rejected: {outcome:?}") };
    let text = error.description.clone().unwrap();
    let text = text.split(" TrackingId:").next().unwrap();
    (error.condition.as_str().to_owned(), text.to_owned())
}
