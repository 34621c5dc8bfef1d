//! A pair of links to a node that answers requests.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::amqp::{Attach, Connection, LinkId, Outgoing, Role, SessionId, Source, Target};
use crate::dialect::annotations::GEOREPLICATION;
use crate::dialect::rpc::{Caller, Reply};
use crate::error::Error;
use crate::model::value::{Symbol, Value};

/// Replies that may be under way; both nodes are asked one thing or a few things at a time.
const REPLY_CREDIT: u32 = 100;

/// The client's end of `$cbs` or `$management`.
pub(super) struct RequestLinks {
    node: &'static str,
    stage: Stage,
    /// Requests that wait for the links or for credit.
    outbox: VecDeque<Bytes>,
    next_id: u64,
}

enum Stage {
    Closed,
    Opening { pair: Pair, sender_attached: bool, receiver_attached: bool },
    Open { pair: Pair },
}

#[derive(Clone)]
struct Pair {
    sender: LinkId,
    receiver: LinkId,
    reply_to: String,
}

impl RequestLinks {
    pub(super) fn new(node: &'static str) -> Self {
        RequestLinks { node, stage: Stage::Closed, outbox: VecDeque::new(), next_id: 1 }
    }

    /// Attaches both links, unless they are.
    pub(super) fn open(&mut self, engine: &mut Connection, session: SessionId, name: &str) {
        if !matches!(self.stage, Stage::Closed) {
            return;
        }
        let reply_to = format!("{}-{name}", self.node.trim_start_matches('$'));
        let node = || Some(self.node.to_owned());
        let desired_capabilities = vec![Symbol::from_static(GEOREPLICATION)];
        // The service routes replies by the receiving link's target, JS-like servers by its name: both are the same.
        let receiver = engine.attach(
            session,
            Attach {
                source: Some(Source { address: node(), ..Source::default() }),
                target: Some(Target { address: Some(reply_to.clone()) }),
                desired_capabilities: desired_capabilities.clone(),
                ..Attach::new(reply_to.clone(), Role::Receiver)
            },
        );
        let sender = engine.attach(
            session,
            Attach {
                source: Some(Source { address: Some(reply_to.clone()), ..Source::default() }),
                target: Some(Target { address: node() }),
                desired_capabilities,
                ..Attach::new(format!("{reply_to}-requests"), Role::Sender)
            },
        );
        if let (Ok(sender), Ok(receiver)) = (sender, receiver) {
            engine.set_credit(receiver, REPLY_CREDIT);
            let pair = Pair { sender, receiver, reply_to };
            self.stage = Stage::Opening { pair, sender_attached: false, receiver_attached: false };
        }
    }

    /// Whether `link` is one of the two.
    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.pair().is_some_and(|pair| pair.sender == link || pair.receiver == link)
    }

    /// One of the two was attached.
    pub(super) fn attached(&mut self, engine: &mut Connection, link: LinkId) {
        let Stage::Opening { pair, sender_attached, receiver_attached } = &mut self.stage else { return };
        *sender_attached |= link == pair.sender;
        *receiver_attached |= link == pair.receiver;
        if *sender_attached && *receiver_attached {
            self.stage = Stage::Open { pair: pair.clone() };
            self.pump(engine);
        }
    }

    /// One of the two is gone, so both are.
    pub(super) fn detached(&mut self, engine: &mut Connection, link: LinkId) {
        if let Some(pair) = self.pair() {
            let other = if pair.sender == link { pair.receiver } else { pair.sender };
            engine.detach(other, true, None);
        }
        self.reset();
    }

    /// Both are gone without a word, with their session or connection.
    pub(super) fn reset(&mut self) {
        self.stage = Stage::Closed;
        self.outbox.clear();
    }

    /// Detaches both.
    pub(super) fn close(&mut self, engine: &mut Connection) {
        if let Some(pair) = self.pair() {
            engine.detach(pair.sender, true, None);
            engine.detach(pair.receiver, true, None);
        }
        self.reset();
    }

    /// Who asks, in the next request; `None` while the links are not asked for.
    pub(super) fn next_caller(&mut self) -> Option<(u64, Caller)> {
        let reply_to = self.pair()?.reply_to.clone();
        let id = self.next_id;
        self.next_id += 1;
        // A number would do; text is what most clients of the service use.
        Some((id, Caller::new(id.to_string(), reply_to)))
    }

    /// Sends an encoded request as soon as the links are open.
    pub(super) fn send(&mut self, engine: &mut Connection, request: Bytes) {
        self.outbox.push_back(request);
        self.pump(engine);
    }

    /// Sends what credit allows.
    pub(super) fn pump(&mut self, engine: &mut Connection) {
        let Stage::Open { pair } = &self.stage else { return };
        while engine.sendable(pair.sender) > 0 {
            let Some(request) = self.outbox.pop_front() else { return };
            // Settled: the reply says everything.
            let message =
                Outgoing { token: 0, message_format: 0, settled: true, head: request, body: Bytes::new() };
            if engine.send(pair.sender, message).is_err() {
                return;
            }
        }
    }

    /// Understands a reply: which request it answers, and the answer.
    ///
    /// # Errors
    /// When it is not a reply.
    pub(super) fn reply(payload: &Bytes) -> Result<(Option<u64>, Reply), Error> {
        let reply = Reply::parse(payload)?;
        let id = match &reply.correlation_id {
            Some(Value::String(text)) => text.parse::<i64>().ok().map(|id| id as u64),
            _ => None,
        };
        Ok((id, reply))
    }

    fn pair(&self) -> Option<&Pair> {
        match &self.stage {
            Stage::Closed => None,
            Stage::Opening { pair, .. } | Stage::Open { pair } => Some(pair),
        }
    }
}
