//! A small server in the manner of Event Hubs on fe2o3-amqp's acceptor: it believes every token, keeps events in
//! memory and knows one hub.

use std::sync::{Arc, Mutex};

use fe2o3_amqp::acceptor::{
    ConnectionAcceptor, LinkAcceptor, LinkEndpoint, ListenerSessionHandle, SaslAnonymousMechanism,
    SessionAcceptor, SupportedSenderSettleModes,
};
use fe2o3_amqp::link::delivery::Delivery;
use fe2o3_amqp::types::definitions::{Role, SenderSettleMode};
use fe2o3_amqp::types::messaging::message::__private::Deserializable;
use fe2o3_amqp::types::messaging::{
    AmqpValue, ApplicationProperties, Body, Message, MessageAnnotations, Properties,
};
use fe2o3_amqp::types::primitives::{SimpleValue, Timestamp, Value};
use fe2o3_amqp::{Receiver, Sendable, Sender};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

const BATCH_FORMAT: u32 = 0x8001_3700;

/// The server, which ends with it.
pub(crate) struct Server {
    pub(crate) url: String,
    accepting: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves the hub `hub` with one partition.
pub(crate) async fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let log = Arc::new(Log::default());
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve_connection(stream, log.clone()));
        }
    });
    Server { url, accepting: accepting.abort_handle() }
}

/// Append only; `length` tells its readers when something came.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<Message<Body<Value>>>>,
    length: watch::Sender<usize>,
}

impl Log {
    fn append(&self, message: Message<Body<Value>>) {
        let mut events = self.events.lock().unwrap();
        events.push(message);
        self.length.send_replace(events.len());
    }
}

/// The links of a session on which replies go out.
#[derive(Default)]
struct Replies(Mutex<Vec<ReplyLink>>);

struct ReplyLink {
    /// Its name and its target: clients mean either by `reply-to`.
    names: [Option<String>; 2],
    queue: mpsc::UnboundedSender<Message<AmqpValue<Value>>>,
}

async fn serve_connection(stream: tokio::net::TcpStream, log: Arc<Log>) {
    let acceptor = ConnectionAcceptor::builder()
        .container_id("fe2o3-server")
        .max_frame_size(65_536_u32)
        .sasl_acceptor(SaslAnonymousMechanism {})
        .build();
    let Ok(mut connection) = acceptor.accept(stream).await else { return };
    let sessions = SessionAcceptor::new();
    while let Ok(session) = sessions.accept(&mut connection).await {
        tokio::spawn(serve_session(session, log.clone()));
    }
}

async fn serve_session(mut session: ListenerSessionHandle, log: Arc<Log>) {
    let incoming = LinkAcceptor::builder().max_message_size(1_048_576_u64).build();
    // As the service does: events and replies are sent settled, whatever was asked for.
    let outgoing = LinkAcceptor::builder()
        .supported_sender_settle_modes(SupportedSenderSettleModes::Settled)
        .fallback_sender_settle_mode(SenderSettleMode::Settled)
        .build();
    let replies = Arc::new(Replies::default());
    while let Some(attach) = session.next_incoming_attach().await {
        let reply_names = [
            Some(attach.name.clone()),
            attach.target.as_ref().and_then(|target| match target.as_ref() {
                fe2o3_amqp::types::messaging::TargetArchetype::Target(target) => target.address.clone(),
                #[allow(unreachable_patterns)]
                _ => None,
            }),
        ];
        let acceptor = if attach.role == Role::Receiver { &outgoing } else { &incoming };
        match acceptor.accept_incoming_attach(attach, &mut session).await {
            Ok(LinkEndpoint::Receiver(receiver)) => {
                tokio::spawn(take_in(receiver, log.clone(), replies.clone()));
            }
            Ok(LinkEndpoint::Sender(sender)) => {
                let source = sender.source().as_ref().and_then(|source| source.address.clone());
                if source.is_some_and(|address| address.starts_with('$')) {
                    let (queue, waiting) = mpsc::unbounded_channel();
                    replies.0.lock().unwrap().push(ReplyLink { names: reply_names, queue });
                    tokio::spawn(send_replies(sender, waiting));
                } else {
                    tokio::spawn(send_events(sender, log.clone()));
                }
            }
            Err(_) => return,
        }
    }
}

/// Requests to a node, or events.
async fn take_in(mut receiver: Receiver, log: Arc<Log>, replies: Arc<Replies>) {
    let target = receiver.target().as_ref().and_then(|target| target.address.clone());
    let is_node = target.is_some_and(|address| address.starts_with('$'));
    while let Ok(delivery) = receiver.recv::<Body<Value>>().await {
        receiver.accept(&delivery).await.unwrap();
        if is_node {
            accept_token(delivery, &replies);
        } else if *delivery.message_format() == Some(BATCH_FORMAT) {
            let Body::Data(sections) = delivery.into_body() else { panic!("a batch of something else") };
            for section in sections {
                let Deserializable(event) = serde_amqp::from_slice(&section.0).unwrap();
                log.append(event);
            }
        } else {
            log.append(delivery.into_message());
        }
    }
}

fn accept_token(request: Delivery<Body<Value>>, replies: &Replies) {
    let asked = request.into_message().properties.expect("a request without properties");
    let mut reply = Message::builder()
        .application_properties(
            ApplicationProperties::builder()
                .insert("status-code", SimpleValue::Int(202))
                .insert("status-description", "Accepted")
                .build(),
        )
        .value(Value::Null)
        .build();
    reply.properties = Some(Properties {
        correlation_id: asked.message_id,
        to: asked.reply_to.clone(),
        ..Default::default()
    });
    let replies = replies.0.lock().unwrap();
    let link = replies.iter().find(|link| link.names.contains(&asked.reply_to)).expect("nobody to reply to");
    // Fails only when the link has gone; nobody waits for the reply then.
    let _ = link.queue.send(reply);
}

async fn send_replies(mut sender: Sender, mut waiting: mpsc::UnboundedReceiver<Message<AmqpValue<Value>>>) {
    loop {
        let reply = tokio::select! {
            reply = waiting.recv() => reply,
            _ = sender.on_detach() => None,
        };
        let Some(reply) = reply else { return };
        if sender.send(reply).await.is_err() {
            return;
        }
    }
}

async fn send_events(mut sender: Sender, log: Arc<Log>) {
    let mut length = log.length.subscribe();
    let mut next = 0;
    loop {
        tokio::select! {
            changed = length.wait_for(|length| *length > next) => if changed.is_err() { return },
            _ = sender.on_detach() => return,
        }
        let mut event = log.events.lock().unwrap()[next].clone();
        let annotations = event.message_annotations.get_or_insert_with(MessageAnnotations::default);
        let number = next as i64;
        let offset = (next * 100).to_string();
        annotations.0.insert("x-opt-sequence-number".into(), Value::Long(number));
        annotations.0.insert("x-opt-offset".into(), Value::String(offset));
        let time = Timestamp::from_milliseconds(1_714_979_289_000 + number);
        annotations.0.insert("x-opt-enqueued-time".into(), Value::Timestamp(time));
        if sender.send(Sendable::builder().message(event).settled(true).build()).await.is_err() {
            return;
        }
        next += 1;
    }
}
