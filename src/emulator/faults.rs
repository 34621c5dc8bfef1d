//! What goes wrong on purpose in a running emulator.

use std::fmt;

pub use crate::broker::faults::{
    Direction, Fault, FaultGuard, FaultInfo, FaultKind, FaultScope, FaultTiming, LinkRole, On, Reason,
    UntilHit,
};

use super::clock::Clock;
use crate::broker::faults;
use crate::error::{Error, ErrorKind};

/// The faults of an [`Emulator`](super::Emulator). They outlive its restarts.
///
/// ```
/// use eventhubs::ProducerClient;
/// use eventhubs::emulator::{Emulator, EmulatorConfig, Fault};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), eventhubs::Error> {
/// # let mut config = EmulatorConfig::default().with_hub("orders", 4);
/// # config.tls = None;
/// # let emulator = Emulator::start(config).await?;
/// # let producer = ProducerClient::builder()
/// #     .connection_string(emulator.connection_string())
/// #     .event_hub("orders")
/// #     .build()?;
/// // The first publication is stored, and the connection breaks before its sender is told.
/// let lost = emulator.faults().inject(Fault::lose_ack().then_drop().on_entity("orders").once())?;
/// producer.send("again if in doubt").await?;
/// assert_eq!(lost.until_hit(1).await, 1);
/// drop(lost); // All is well again.
/// # emulator.shutdown().await
/// # }
/// ```
#[derive(Clone)]
pub struct Faults {
    core: faults::Faults,
    clock: Clock,
}

impl Faults {
    pub(super) fn new(clock: Clock) -> Self {
        Faults { core: faults::Faults::new(), clock }
    }

    /// Sets a fault, for as long as the guard lives.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it means nothing, and why; or when too many are set.
    pub fn inject(&self, fault: Fault) -> Result<FaultGuard, Error> {
        self.core.inject(fault, self.clock.now()).map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, error.to_string()).with_operation("inject the fault")
        })
    }

    /// All faults that are set, oldest first.
    pub fn list(&self) -> Vec<FaultInfo> {
        self.core.list()
    }

    /// Ends a fault; whether there was one.
    pub fn end(&self, id: u64) -> bool {
        self.core.end(id)
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.core.clear();
    }

    /// The same faults, for a namespace.
    pub(super) fn core(&self) -> &faults::Faults {
        &self.core
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.core, f)
    }
}
