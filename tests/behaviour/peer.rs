//! A service that does as it is told: the engine's server role with a script, for what no emulator would do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventhubs::amqp::{Attach, Config, Connection, Event, LinkId, Outcome, Outgoing, Role};
use eventhubs::dialect::{cbs, management};
use eventhubs::model::moment::Moment;
use eventhubs::{ClientOptions, ConsumerClient, HubProperties, ProducerClient, RetryOptions, Timestamp};

use crate::harness::{Listener, SCHEME, Stream, clock, spawn};

/// What a script does about an event of a connection.
pub(crate) enum Then {
    /// What a service would do.
    AsUsual,
    /// Nothing more than the script has done.
    Handled,
    /// The socket is dropped.
    HangUp,
}

/// An event, and where it came from.
pub(crate) struct Seen<'a> {
    pub(crate) event: &'a Event,
    /// The connection's number, from 1.
    pub(crate) connection: usize,
    pub(crate) state: &'a mut State,
}

/// What a connection of the peer remembers.
#[derive(Default)]
pub(crate) struct State {
    links: Vec<(LinkId, Attach)>,
    has_served: bool,
}

impl State {
    /// The address of a link: the hub's side of it.
    pub(crate) fn address(&self, link: LinkId) -> Option<String> {
        let (_, attach) = self.links.iter().find(|(id, _)| *id == link)?;
        address(attach)
    }

    /// Whether it is asked for the first time, by a link.
    pub(crate) fn is_first(&mut self, link: LinkId) -> bool {
        !std::mem::replace(&mut self.has_served, self.links.iter().any(|(id, _)| *id == link))
    }

    fn reply_link(&self, node: &str) -> Option<LinkId> {
        let is_it =
            |attach: &Attach| attach.role == Role::Receiver && address(attach).as_deref() == Some(node);
        self.links.iter().rev().find(|(_, attach)| is_it(attach)).map(|(id, _)| *id)
    }
}

/// A producer that talks to the peer.
pub(crate) fn producer_of(peer: &Peer, retry: RetryOptions) -> ProducerClient {
    ProducerClient::builder().connection_string(peer.connection_string()).retry(retry).build().unwrap()
}

/// A consumer that talks to the peer.
pub(crate) fn consumer_of(peer: &Peer, retry: RetryOptions) -> ConsumerClient {
    ConsumerClient::builder().connection_string(peer.connection_string()).retry(retry).build().unwrap()
}

/// One that takes a partition for stalled after so long.
pub(crate) fn watchful_consumer_of(
    peer: &Peer,
    retry: RetryOptions,
    stall_timeout: Duration,
) -> ConsumerClient {
    ConsumerClient::builder()
        .connection_string(peer.connection_string())
        .options(ClientOptions { retry, stall_timeout, ..ClientOptions::default() })
        .build()
        .unwrap()
}

/// A peer that hangs up whenever an event for the hub arrives.
pub(crate) async fn peer_that_hangs_up() -> Peer {
    Peer::start(|_, seen: Seen<'_>| match seen.event {
        Event::Delivery { link, .. } if seen.state.address(*link).as_deref() == Some("orders") => {
            Then::HangUp
        }
        _ => Then::AsUsual,
    })
    .await
}

/// The node that a client asks for.
pub(crate) fn address(attach: &Attach) -> Option<String> {
    match attach.role {
        Role::Sender => attach.target.as_ref()?.address.clone(),
        Role::Receiver => attach.source.as_ref()?.address.clone(),
    }
}

/// A listening peer.
pub(crate) struct Peer {
    pub(crate) port: u16,
    /// What was sent to hubs, in order.
    pub(crate) stored: Arc<Mutex<Vec<Bytes>>>,
}

impl Peer {
    pub(crate) async fn start(
        script: impl FnMut(&mut Connection, Seen<'_>) -> Then + Send + 'static,
    ) -> Self {
        let mut listener = Listener::amqp().await;
        let port = listener.port();
        let stored = Arc::new(Mutex::new(Vec::new()));
        let (script, store) = (Arc::new(Mutex::new(script)), stored.clone());
        drop(spawn(async move {
            for number in 1.. {
                let stream = listener.accept().await;
                drop(spawn(serve(stream, number, script.clone(), store.clone())));
            }
        }));
        Peer { port, stored }
    }

    /// A connection string for a hub that it has, without TLS.
    pub(crate) fn connection_string(&self) -> String {
        format!(
            "Endpoint={SCHEME}://127.0.0.1:{};SharedAccessKeyName=k;SharedAccessKey=s;EntityPath=orders",
            self.port
        )
    }
}

async fn serve<S>(mut stream: Stream, number: usize, script: Arc<Mutex<S>>, stored: Arc<Mutex<Vec<Bytes>>>)
where
    S: FnMut(&mut Connection, Seen<'_>) -> Then + Send + 'static,
{
    let now = || Moment::from_origin(clock());
    let mut engine = Connection::server(Config { container_id: "peer".into(), ..Config::default() }, now());
    let mut state = State::default();
    loop {
        while let Some(event) = engine.poll_event() {
            let seen = Seen { event: &event, connection: number, state: &mut state };
            let then = (script.lock().unwrap())(&mut engine, seen);
            match then {
                Then::AsUsual => as_usual(&mut engine, &event, &mut state, &stored),
                Then::Handled => {}
                Then::HangUp => return,
            }
        }
        while let Some(output) = engine.poll_output(now()) {
            if !stream.write(output).await {
                return;
            }
        }
        if engine.is_closed() {
            return;
        }
        match stream.read().await {
            Some(bytes) => engine.feed(bytes, now()),
            None => return,
        }
    }
}

/// Grants every link and token, stores what is sent, answers what is asked.
pub(crate) fn as_usual(
    engine: &mut Connection,
    event: &Event,
    state: &mut State,
    stored: &Mutex<Vec<Bytes>>,
) {
    match event {
        Event::Sasl { .. } => engine.sasl_outcome(true),
        Event::AttachRequested { link, attach, .. } => {
            state.links.push((*link, (**attach).clone()));
            let reply = Attach {
                source: attach.source.clone(),
                target: attach.target.clone(),
                max_message_size: (attach.role == Role::Sender).then_some(1 << 20),
                ..Attach::new("", Role::Sender)
            };
            engine.accept(*link, reply);
            if attach.role == Role::Sender {
                engine.set_credit(*link, 1000);
            }
        }
        Event::Delivery { link, delivery } => {
            let node = state.address(*link).unwrap_or_default();
            if !delivery.settled {
                engine.settle(*link, delivery.id, Outcome::Accepted);
            }
            let reply = match node.as_str() {
                "$cbs" => cbs::Request::parse(&delivery.payload).unwrap().accept(),
                "$management" => {
                    let hub = HubProperties::new("orders", Timestamp::from_millis(0), 2);
                    management::Request::parse(&delivery.payload).unwrap().reply_hub(&hub)
                }
                _ => {
                    stored.lock().unwrap().push(delivery.payload.clone());
                    return;
                }
            };
            answer(engine, state, &node, reply.encode());
        }
        _ => {}
    }
}

/// Sends a reply of a node.
pub(crate) fn answer(engine: &mut Connection, state: &State, node: &str, reply: Bytes) {
    let link = state.reply_link(node).unwrap();
    let message = Outgoing { token: 0, message_format: 0, settled: true, head: reply, body: Bytes::new() };
    engine.send(link, message).unwrap();
}
