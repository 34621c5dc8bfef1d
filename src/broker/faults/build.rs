//! How a fault is said: its kind, then where and when.

use std::time::Duration;

use super::{Direction, Fault, FaultKind, FaultScope, FaultTiming, LinkRole, On, Reason};

/// The kinds.
impl Fault {
    /// A fault of this kind, everywhere and always.
    pub fn new(kind: FaultKind) -> Self {
        let (scope, timing) = (FaultScope::default(), FaultTiming::default());
        Fault { kind, scope, on: None, timing, misfit: None }
    }

    /// New connections are refused.
    pub fn refuse() -> Self {
        Fault::new(FaultKind::Refuse)
    }

    /// Connections break without a word.
    pub fn drop_connections() -> Self {
        Fault::new(FaultKind::Drop)
    }

    /// Bytes are swallowed silently. A connection that has lost bytes stays silent when the fault is over.
    pub fn half_open() -> Self {
        Fault::new(FaultKind::HalfOpen { direction: Direction::Both })
    }

    /// Bytes arrive so much later.
    pub fn delay(delay: Duration) -> Self {
        Fault::new(FaultKind::Delay { delay, jitter: Duration::ZERO, direction: Direction::Both })
    }

    /// No more bytes than this pass in a second.
    pub fn bandwidth(bytes_per_second: u64) -> Self {
        Fault::new(FaultKind::Bandwidth { bytes_per_second, direction: Direction::Both })
    }

    /// Connections break in the middle of the next frame to the client.
    pub fn cut_frame() -> Self {
        Fault::new(FaultKind::CutFrame)
    }

    /// Publications are stored, and the sender is never told; see [`then_drop`](Self::then_drop).
    pub fn lose_ack() -> Self {
        Fault::new(FaultKind::LoseAck { drop: false })
    }

    /// Publications are stored twice and acknowledged once.
    pub fn duplicate() -> Self {
        Fault::new(FaultKind::Duplicate)
    }

    /// The service is busy (`com.microsoft:server-busy`).
    pub fn busy() -> Self {
        Fault::new(FaultKind::Busy)
    }

    /// Links are detached with this condition; an empty one is none.
    pub fn detach(condition: impl Into<String>) -> Self {
        Fault::new(FaultKind::Detach(Reason::new(condition)))
    }

    /// Sessions are ended with this condition; an empty one is none.
    pub fn end(condition: impl Into<String>) -> Self {
        Fault::new(FaultKind::End(Reason::new(condition)))
    }

    /// Connections are closed with this condition; an empty one is none.
    pub fn close(condition: impl Into<String>) -> Self {
        Fault::new(FaultKind::Close(Reason::new(condition)))
    }

    /// Tokens are answered with this status: 401, 404, 503, …
    pub fn refuse_token(status: u16) -> Self {
        Fault::new(FaultKind::RefuseToken { status, description: None })
    }

    /// Tokens run out at once.
    pub fn expire_token() -> Self {
        Fault::new(FaultKind::ExpireToken)
    }

    /// Readers lose their partition to somebody with a higher epoch.
    pub fn steal_link() -> Self {
        Fault::new(FaultKind::StealLink)
    }

    /// Partitions fall silent.
    pub fn stop_partition() -> Self {
        Fault::new(FaultKind::StopPartition)
    }

    /// The service starts anew: all connections break. Events are kept, unless
    /// [`losing_data`](Self::losing_data) is said.
    pub fn restart() -> Self {
        Fault::new(FaultKind::Restart { loses_data: false, down: Duration::ZERO })
    }

    /// Publications take so much longer to become durable: they are neither visible nor acknowledged before.
    pub fn slow_disk(delay: Duration) -> Self {
        Fault::new(FaultKind::SlowDisk { delay })
    }

    /// The service's calendar is off by so many milliseconds; negative ones are a clock that is behind.
    pub fn skew_clock(millis: i64) -> Self {
        Fault::new(FaultKind::SkewClock { millis })
    }
}

/// What only some kinds have.
impl Fault {
    /// Half-open, delay, bandwidth: only bytes of this way.
    #[must_use]
    pub fn toward(mut self, toward: Direction) -> Self {
        match &mut self.kind {
            FaultKind::HalfOpen { direction }
            | FaultKind::Delay { direction, .. }
            | FaultKind::Bandwidth { direction, .. } => *direction = toward,
            _ => self.misfit = Some("direction"),
        }
        self
    }

    /// Delay: up to so much more, each time anew.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Self {
        match &mut self.kind {
            FaultKind::Delay { jitter, .. } => *jitter = most,
            _ => self.misfit = Some("jitterMs"),
        }
        self
    }

    /// Lost acknowledgements: the connection breaks as well, instead of staying silent.
    #[must_use]
    pub fn then_drop(mut self) -> Self {
        match &mut self.kind {
            FaultKind::LoseAck { drop } => *drop = true,
            _ => self.misfit = Some("then"),
        }
        self
    }

    /// Detach, end, close, refused tokens: with this text.
    #[must_use]
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        match &mut self.kind {
            FaultKind::Detach(Reason { description, .. })
            | FaultKind::End(Reason { description, .. })
            | FaultKind::Close(Reason { description, .. })
            | FaultKind::RefuseToken { description, .. } => *description = Some(text.into()),
            _ => self.misfit = Some("description"),
        }
        self
    }

    /// Restart: events that only memory holds are lost. Sequence numbers begin at 0 again.
    #[must_use]
    pub fn losing_data(mut self) -> Self {
        match &mut self.kind {
            FaultKind::Restart { loses_data, .. } => *loses_data = true,
            _ => self.misfit = Some("loseData"),
        }
        self
    }

    /// Restart: new connections are refused for so long.
    #[must_use]
    pub fn down_for(mut self, time: Duration) -> Self {
        match &mut self.kind {
            FaultKind::Restart { down, .. } => *down = time,
            _ => self.misfit = Some("downMs"),
        }
        self
    }
}

/// Where and when.
impl Fault {
    /// Only connections with this container id.
    #[must_use]
    pub fn of_client(mut self, container_id: impl Into<String>) -> Self {
        self.scope.client = Some(container_id.into());
        self
    }

    /// Only links on this hub, and connections that have one.
    #[must_use]
    pub fn on_entity(mut self, hub: impl Into<String>) -> Self {
        self.scope.entity = Some(hub.into());
        self
    }

    /// Only links on partitions with this id, connections that have one, and publications that go there.
    #[must_use]
    pub fn on_partition(mut self, id: impl AsRef<str>) -> Self {
        match id.as_ref().parse() {
            Ok(number) => self.scope.partition = Some(number),
            Err(_) => self.misfit = Some("partition"),
        }
        self
    }

    /// Only links on which the client publishes.
    #[must_use]
    pub fn sending(mut self) -> Self {
        self.scope.role = Some(LinkRole::Send);
        self
    }

    /// Only links on which the client reads.
    #[must_use]
    pub fn receiving(mut self) -> Self {
        self.scope.role = Some(LinkRole::Receive);
        self
    }

    /// When this happens.
    #[must_use]
    pub fn on(mut self, occasion: On) -> Self {
        self.on = Some(occasion);
        self
    }

    /// Not the first `n` times.
    #[must_use]
    pub fn after(mut self, n: u64) -> Self {
        self.timing.after = n;
        self
    }

    /// Not more than `n` times.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.timing.times = Some(n);
        self
    }

    /// One time.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Each time with this probability. The same seed strikes the same occasions.
    #[must_use]
    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        self.timing.probability = Some(probability);
        self.timing.seed = seed;
        self
    }

    /// Only from so long after it was injected.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.timing.wait = time;
        self
    }

    /// Only for so long.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.timing.lasting = Some(time);
        self
    }

    /// What goes wrong.
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }

    /// Whom it concerns.
    pub fn scope(&self) -> &FaultScope {
        &self.scope
    }

    /// When it strikes.
    pub fn timing(&self) -> &FaultTiming {
        &self.timing
    }

    /// What has to happen for it to strike.
    pub fn occasion(&self) -> On {
        self.on.unwrap_or(self.kind.occasions()[0])
    }
}
