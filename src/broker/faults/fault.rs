//! What a fault is: its kind, where it strikes, and when.

use std::time::Duration;

use super::FaultError;

/// Something that goes wrong on purpose: what, where, and when.
///
/// Without a scope it strikes everywhere; without a time for as long as its guard lives.
///
/// ```
/// use eventhubs::broker::faults::{Fault, On};
/// use std::time::Duration;
///
/// // The third publication to partition 0 is stored, and nobody is told.
/// let lost = Fault::lose_ack().on_entity("orders").on_partition("0").after(2).once();
/// // Every tenth event or so finds its reader detached.
/// let shaky = Fault::detach("amqp:link:detach-forced").receiving().on(On::Receive).probability(0.1, 7);
/// // In a second, for five seconds, everything takes a fifth of a second longer.
/// let slow = Fault::delay(Duration::from_millis(200)).wait(Duration::from_secs(1)).lasting(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub(super) kind: FaultKind,
    pub(super) scope: FaultScope,
    /// When none was asked for, the kind's own.
    pub(super) on: Option<On>,
    pub(super) timing: FaultTiming,
    /// What was said of it that its kind does not have.
    pub(super) misfit: Option<&'static str>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// New connections are refused.
    Refuse,
    /// Connections break without a word.
    Drop,
    /// Bytes are swallowed silently, and the connection stays as it is.
    HalfOpen {
        /// Which bytes.
        direction: Direction,
    },
    /// Bytes arrive late.
    Delay {
        /// By how much.
        delay: Duration,
        /// And by how much more at most, each time anew.
        jitter: Duration,
        /// Which bytes.
        direction: Direction,
    },
    /// Bytes arrive slowly.
    Bandwidth {
        /// How fast.
        bytes_per_second: u64,
        /// Which bytes.
        direction: Direction,
    },
    /// A connection breaks in the middle of a frame to the client.
    CutFrame,
    /// A publication is stored, and its sender is never told.
    LoseAck {
        /// Whether the connection breaks then; otherwise there is silence.
        drop: bool,
    },
    /// A publication is stored twice, as by a service that tries again inside.
    Duplicate,
    /// The service says that it is busy: to publications and requests in its answer, to readers by a detach.
    Busy,
    /// A link is detached.
    Detach(Reason),
    /// A session is ended.
    End(Reason),
    /// A connection is closed politely.
    Close(Reason),
    /// Tokens are refused.
    RefuseToken {
        /// The status of the answer.
        status: u16,
        /// What the answer says; `None` for what the service says with this status.
        description: Option<String>,
    },
    /// Tokens have run out: what they granted is gone, and the links that need it are detached.
    ExpireToken,
    /// Somebody with a higher epoch takes the partition.
    StealLink,
    /// A partition falls silent: readers get nothing, publications no answer (and are not stored).
    StopPartition,
    /// The service starts anew: all connections break.
    Restart {
        /// Whether events that only memory holds are lost. Those of a data directory never are.
        loses_data: bool,
        /// How long new connections are refused.
        down: Duration,
    },
    /// Publications take long to become durable.
    SlowDisk {
        /// How long.
        delay: Duration,
    },
    /// The service's calendar is off when it judges tokens and stamps events.
    SkewClock {
        /// By how many milliseconds; a negative number is a clock that is behind.
        millis: i64,
    },
}

/// Why something ends, as the service says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// The condition, such as `amqp:link:detach-forced`; without one no error is sent.
    pub condition: Option<String>,
    /// The text; `None` for what the service says with this condition.
    pub description: Option<String>,
}

/// Bytes of which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// What the service sends.
    Client,
    /// What the client sends.
    Service,
}

/// Whom a fault concerns. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultScope {
    /// The container id that the client gave its connection.
    pub client: Option<String>,
    /// A hub, in whatever case.
    pub entity: Option<String>,
    /// A partition of a hub.
    pub partition: Option<u32>,
    /// What the client does on the link. Of a connection it is enough that one of its links matches.
    pub role: Option<LinkRole>,
}

/// What a client does on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRole {
    /// It publishes.
    Send,
    /// It reads.
    Receive,
}

/// What has to happen for a fault to strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum On {
    /// Nothing: it strikes everything that is there when it starts, once, and nothing that comes later.
    Now,
    /// A connection is made.
    Connect,
    /// A link is asked for.
    Attach,
    /// A publication has arrived and is not stored yet.
    Send,
    /// A publication was stored and answered.
    Sent,
    /// An event is about to be delivered.
    Receive,
    /// An event was delivered.
    Received,
    /// A token is put.
    Token,
    /// A question about a hub or partition arrives.
    Request,
    /// Bytes move, or time passes: what holds for as long as the fault does.
    Always,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultTiming {
    /// So many occasions pass unharmed first.
    pub after: u64,
    /// It strikes so many times.
    pub times: Option<u64>,
    /// It strikes with this probability each time.
    pub probability: Option<f64>,
    /// Where the dice begin; the same seed strikes the same occasions.
    pub seed: u64,
    /// It starts so long after it was injected.
    pub wait: Duration,
    /// It ends so long after it started.
    pub lasting: Option<Duration>,
}

impl Default for FaultTiming {
    fn default() -> Self {
        FaultTiming { after: 0, times: None, probability: None, seed: 1, wait: Duration::ZERO, lasting: None }
    }
}

impl Fault {
    /// Whether it means something.
    pub(super) fn check(&self) -> Result<(), FaultError> {
        let name = self.kind.name();
        let wrong =
            |field: &str, why: String| Err(FaultError(format!("{field} of the fault '{name}' {why}")));
        if let Some(field) = self.misfit {
            if field == "partition" {
                return wrong(field, "must be a partition's id, such as \"0\"".to_owned());
            }
            return Err(FaultError(format!("the fault '{name}' has no {field}")));
        }
        let occasions = self.kind.occasions();
        if let Some(on) = self.on.filter(|on| !occasions.contains(on)) {
            let known: Vec<_> = occasions.iter().map(|on| on.name()).collect();
            return wrong("on", format!("cannot be {}: it strikes on {}", on.name(), known.join(", ")));
        }
        if self.timing.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return wrong("probability", "must be from 0 to 1".to_owned());
        }
        if self.timing.times == Some(0) {
            return wrong("times", "must be at least 1".to_owned());
        }
        match &self.kind {
            FaultKind::Bandwidth { bytes_per_second: 0, .. } => {
                wrong("bytesPerSecond", "must be at least 1; half-open lets nothing through".to_owned())
            }
            FaultKind::RefuseToken { status, .. } if !(300..600).contains(status) => {
                wrong("status", "must be from 300 to 599".to_owned())
            }
            FaultKind::SkewClock { .. } => {
                let timing = &self.timing;
                if timing.after > 0 || timing.times.is_some() || timing.probability.is_some() {
                    return wrong(
                        "after, times and probability",
                        "mean nothing: a clock is off or it is not".to_owned(),
                    );
                }
                Ok(())
            }
            FaultKind::Detach(reason) | FaultKind::End(reason) | FaultKind::Close(reason)
                if reason
                    .condition
                    .as_ref()
                    .is_some_and(|c| !c.is_ascii() || c.len() > LONGEST_CONDITION) =>
            {
                wrong("condition", format!("must be at most {LONGEST_CONDITION} characters of ASCII"))
            }
            _ => Ok(()),
        }
    }
}

/// In bytes. The service's are short, and a frame has little room.
pub(super) const LONGEST_CONDITION: usize = 200;

impl Reason {
    pub(super) fn new(condition: impl Into<String>) -> Self {
        let condition = Some(condition.into()).filter(|condition| !condition.is_empty());
        Reason { condition, description: None }
    }
}

impl FaultKind {
    /// The name that it has everywhere.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Refuse => "refuse",
            FaultKind::Drop => "drop",
            FaultKind::HalfOpen { .. } => "half-open",
            FaultKind::Delay { .. } => "delay",
            FaultKind::Bandwidth { .. } => "bandwidth",
            FaultKind::CutFrame => "cut-frame",
            FaultKind::LoseAck { .. } => "lose-ack",
            FaultKind::Duplicate => "duplicate",
            FaultKind::Busy => "busy",
            FaultKind::Detach(_) => "detach",
            FaultKind::End(_) => "end",
            FaultKind::Close(_) => "close",
            FaultKind::RefuseToken { .. } => "refuse-token",
            FaultKind::ExpireToken => "expire-token",
            FaultKind::StealLink => "steal-link",
            FaultKind::StopPartition => "stop-partition",
            FaultKind::Restart { .. } => "restart",
            FaultKind::SlowDisk { .. } => "slow-disk",
            FaultKind::SkewClock { .. } => "skew-clock",
        }
    }

    /// When it may strike; the first is meant when nothing else is said.
    pub(super) fn occasions(&self) -> &'static [On] {
        use On::*;
        match self {
            FaultKind::Refuse => &[Connect],
            FaultKind::CutFrame => &[Now, Attach, Sent, Received, Token, Request],
            FaultKind::Drop | FaultKind::Close(_) | FaultKind::Restart { .. } => {
                &[Now, Attach, Send, Sent, Receive, Received, Token, Request]
            }
            FaultKind::HalfOpen { .. } => &[Always, Attach, Send, Sent, Receive, Received, Token, Request],
            FaultKind::Detach(_) | FaultKind::End(_) | FaultKind::ExpireToken => {
                &[Now, Attach, Send, Sent, Receive, Received]
            }
            FaultKind::StealLink => &[Now, Attach, Receive, Received],
            FaultKind::Busy => &[Send, Attach, Receive, Token, Request],
            FaultKind::LoseAck { .. } | FaultKind::Duplicate | FaultKind::SlowDisk { .. } => &[Send],
            FaultKind::RefuseToken { .. } => &[Token],
            FaultKind::Delay { .. }
            | FaultKind::Bandwidth { .. }
            | FaultKind::StopPartition
            | FaultKind::SkewClock { .. } => &[Always],
        }
    }
}

impl On {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            On::Now => "now",
            On::Connect => "connect",
            On::Attach => "attach",
            On::Send => "send",
            On::Sent => "sent",
            On::Receive => "receive",
            On::Received => "received",
            On::Token => "token",
            On::Request => "request",
            On::Always => "always",
        }
    }
}

impl Direction {
    /// Whether bytes to the client are meant.
    pub fn to_client(self) -> bool {
        self != Direction::Service
    }

    /// Whether bytes from the client are meant.
    pub fn to_service(self) -> bool {
        self != Direction::Client
    }
}

impl FaultScope {
    /// Whether it is this client's connection, or any.
    pub(in crate::broker) fn is_client(&self, container_id: &str) -> bool {
        self.client.as_deref().is_none_or(|client| client == container_id)
    }

    /// Whether it asks for particular links.
    pub(in crate::broker) fn names_links(&self) -> bool {
        self.entity.is_some() || self.partition.is_some() || self.role.is_some()
    }

    /// Whether a link, or what happens on it, is concerned. A link of a whole hub is on none of its partitions.
    pub(in crate::broker) fn has_link(&self, hub: &str, partition: Option<u32>, role: LinkRole) -> bool {
        self.entity.as_ref().is_none_or(|entity| entity.eq_ignore_ascii_case(hub))
            && (self.partition.is_none() || self.partition == partition)
            && self.role.is_none_or(|wanted| wanted == role)
    }
}
