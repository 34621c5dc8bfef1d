//! The one error type of the public interface.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why an operation failed: what was attempted, on what, why, and whether trying again can help.
///
/// Match on [`kind`](Self::kind) or on the stable text [`code`](Self::code); print it for a person.
#[derive(Clone)]
pub struct Error(Box<Details>);

/// Where the pages about errors are.
const HELP: &str = "https://docs.rs/eventhubs/latest/eventhubs/errors/";

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value given by the caller makes no sense.
    InvalidArgument,
    /// The connection string cannot be understood.
    InvalidConnectionString,
    /// The credential is wrong, has expired, or does not allow this.
    Unauthorized,
    /// The event hub, consumer group or partition does not exist.
    NotFound,
    /// The event or batch is larger than the service takes.
    MessageTooLarge,
    /// A quota of the service is used up, such as five readers per partition and consumer group.
    QuotaExceeded,
    /// The service asks to slow down.
    ServerBusy,
    /// The deadline passed.
    Timeout,
    /// An established connection broke.
    ConnectionLost,
    /// No connection could be made.
    ConnectFailed,
    /// Another reader with the same or a higher owner level took the partition.
    OwnershipLost,
    /// The position to start at is not one the partition has.
    InvalidPosition,
    /// The service refused the event or the request for another reason.
    Rejected,
    /// The client was closed by its owner.
    Closed,
    /// The peer broke the protocol.
    Protocol,
    /// The service failed inside, or says so.
    Internal,
}

#[derive(Clone)]
struct Details {
    kind: ErrorKind,
    message: String,
    operation: Option<String>,
    entity: Option<String>,
    attempts: u32,
    condition: Option<String>,
    tracking_id: Option<String>,
    event_index: Option<usize>,
    transient: Option<bool>,
    outcome_unknown: bool,
    retry_after: Option<Duration>,
    said_at: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ErrorKind {
    /// A stable name, such as `message-too-large`.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid-argument",
            ErrorKind::InvalidConnectionString => "invalid-connection-string",
            ErrorKind::Unauthorized => "unauthorized",
            ErrorKind::NotFound => "not-found",
            ErrorKind::MessageTooLarge => "message-too-large",
            ErrorKind::QuotaExceeded => "quota-exceeded",
            ErrorKind::ServerBusy => "server-busy",
            ErrorKind::Timeout => "timeout",
            ErrorKind::ConnectionLost => "connection-lost",
            ErrorKind::ConnectFailed => "connect-failed",
            ErrorKind::OwnershipLost => "ownership-lost",
            ErrorKind::InvalidPosition => "invalid-position",
            ErrorKind::Rejected => "rejected",
            ErrorKind::Closed => "closed",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Internal => "internal",
        }
    }

    /// Whether the same operation may succeed when it is tried again.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            ErrorKind::ServerBusy
                | ErrorKind::Timeout
                | ErrorKind::ConnectionLost
                | ErrorKind::ConnectFailed
                | ErrorKind::Internal
        )
    }
}

impl Error {
    /// An error of `kind`; `message` says why in one clause, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Details {
            kind,
            message: message.into(),
            operation: None,
            entity: None,
            attempts: 0,
            condition: None,
            tracking_id: None,
            event_index: None,
            transient: None,
            outcome_unknown: false,
            retry_after: None,
            said_at: None,
            source: None,
        }))
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable name of [`kind`](Self::kind), such as `message-too-large`.
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// Whether the same operation may succeed when it is tried again.
    pub fn is_transient(&self) -> bool {
        self.0.transient.unwrap_or(self.0.kind.is_transient())
    }

    /// Why, without the operation, entity and code that [`Display`](fmt::Display) adds.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was attempted, such as `send to`.
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// What it was attempted on, such as `orders` or `orders/Partitions/3`.
    pub fn entity(&self) -> Option<&str> {
        self.0.entity.as_deref()
    }

    /// How often it was attempted; 0 when nothing was or nobody counted.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The condition that the service named, such as `amqp:not-found`.
    pub fn condition(&self) -> Option<&str> {
        self.0.condition.as_deref()
    }

    /// The service's identifier of the failure, for its support.
    pub fn tracking_id(&self) -> Option<&str> {
        self.0.tracking_id.as_deref()
    }

    /// Which of the events handed over is to blame, counted from 0.
    pub fn event_index(&self) -> Option<usize> {
        self.0.event_index
    }

    /// The address of the page that explains errors of this [kind](Self::kind) and says what to do; [`errors`](crate::errors)
    /// has them all.
    pub fn help_url(&self) -> String {
        format!("{HELP}{}", self.code().replace('-', "_"))
    }

    /// Whether what was sent may have been stored all the same: it left, and the answer of at least one attempt never came.
    /// Sending it again may store it twice; not sending it again may lose it.
    pub fn outcome_unknown(&self) -> bool {
        self.0.outcome_unknown
    }

    /// How long the service asked to wait before trying again, where it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

#[allow(dead_code, reason = "every room takes the setters it needs")]
impl Error {
    /// Says what was attempted, as it reads behind "cannot": `send to`, `receive from`, `connect to`.
    pub(crate) fn with_operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation = Some(operation.into());
        self
    }

    /// Says what it was attempted on.
    pub(crate) fn with_entity(mut self, entity: impl Into<String>) -> Self {
        self.0.entity = Some(entity.into());
        self
    }

    /// Says how often it was attempted.
    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Keeps the condition that the service named.
    pub(crate) fn with_condition(mut self, condition: impl Into<String>) -> Self {
        self.0.condition = Some(condition.into());
        self
    }

    /// Keeps the service's identifier of the failure.
    pub(crate) fn with_tracking_id(mut self, tracking_id: impl Into<String>) -> Self {
        self.0.tracking_id = Some(tracking_id.into());
        self
    }

    /// Names the event that is to blame.
    pub(crate) fn with_event_index(mut self, index: usize) -> Self {
        self.0.event_index = Some(index);
        self
    }

    /// Overrules what the kind says about trying again.
    pub(crate) fn with_transient(mut self, transient: bool) -> Self {
        self.0.transient = Some(transient);
        self
    }

    /// Says that what was sent may have been stored.
    pub(crate) fn with_outcome_unknown(mut self, unknown: bool) -> Self {
        self.0.outcome_unknown = unknown;
        self
    }

    /// Keeps how long the service asked to wait.
    pub(crate) fn with_retry_after(mut self, delay: Option<Duration>) -> Self {
        self.0.retry_after = delay;
        self
    }

    /// Keeps what the service's clock showed when it said this.
    pub(crate) fn with_said_at(mut self, time: impl Into<String>) -> Self {
        self.0.said_at = Some(time.into());
        self
    }

    /// What the service's clock showed, as it wrote it.
    pub(crate) fn said_at(&self) -> Option<&str> {
        self.0.said_at.as_deref()
    }

    /// Replaces the kind, for a caller that knows better what happened.
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// A failure of this machine: what it may do depends on people, so it is worth another try only where it can pass.
    pub(crate) fn of_machine(message: impl Into<String>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{
            InvalidFilename, IsADirectory, NotADirectory, PermissionDenied, QuotaExceeded,
            ReadOnlyFilesystem, StorageFull,
        };
        let (kind, can_pass) = match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => (ErrorKind::Unauthorized, false),
            NotADirectory | IsADirectory | InvalidFilename => (ErrorKind::InvalidArgument, false),
            StorageFull | QuotaExceeded => (ErrorKind::QuotaExceeded, true),
            _ => (ErrorKind::Internal, true),
        };
        Error::new(kind, message).with_transient(can_pass)
    }

    /// Keeps the error underneath.
    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Keeps the error underneath, whose type is not known.
    pub(crate) fn with_boxed_source(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.0.source = Some(Arc::from(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        match (&details.operation, &details.entity) {
            (Some(operation), Some(entity)) => write!(f, "cannot {operation} '{entity}': ")?,
            (Some(operation), None) => write!(f, "cannot {operation}: ")?,
            (None, Some(entity)) => write!(f, "'{entity}': ")?,
            (None, None) => {}
        }
        if let Some(index) = details.event_index {
            write!(f, "event {index}: ")?;
        }
        write!(f, "{} ({}", details.message, details.kind.code())?;
        match details.attempts {
            0 => {}
            1 => f.write_str(", after 1 attempt")?,
            attempts => write!(f, ", after {attempts} attempts")?,
        }
        if details.outcome_unknown {
            f.write_str(", may have been stored")?;
        }
        write!(f, "); see {}", self.help_url())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &details.kind).field("message", &details.message);
        for (name, text) in [
            ("operation", &details.operation),
            ("entity", &details.entity),
            ("condition", &details.condition),
            ("tracking_id", &details.tracking_id),
        ] {
            if let Some(text) = text {
                debug.field(name, text);
            }
        }
        if let Some(index) = details.event_index {
            debug.field("event_index", &index);
        }
        debug.field("attempts", &details.attempts).field("transient", &self.is_transient());
        if details.outcome_unknown {
            debug.field("outcome_unknown", &true);
        }
        if let Some(source) = &details.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The beginning of a text that somebody gave, as it may stand in an error: on one line, and not too long.
pub(crate) fn shown(text: &str, longest: usize) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(longest).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_sentence() {
        let error =
            Error::new(ErrorKind::MessageTooLarge, "the event is 1048640 bytes, the limit is 1048576")
                .with_operation("send to")
                .with_entity("orders")
                .with_event_index(3)
                .with_attempts(1);
        assert_eq!(
            error.to_string(),
            "cannot send to 'orders': event 3: the event is 1048640 bytes, the limit is 1048576 \
             (message-too-large, after 1 attempt); see https://docs.rs/eventhubs/latest/eventhubs/errors/message_too_large"
        );
        let bare = Error::new(ErrorKind::Closed, "the client was closed");
        let page = "https://docs.rs/eventhubs/latest/eventhubs/errors/closed";
        assert_eq!(bare.to_string(), format!("the client was closed (closed); see {page}"));
        assert_eq!(bare.help_url(), page);
        let twice = Error::new(ErrorKind::Timeout, "no answer").with_operation("connect").with_attempts(2);
        let twice = twice.with_outcome_unknown(true).to_string();
        assert!(
            twice.starts_with("cannot connect: no answer (timeout, after 2 attempts, may have been stored);"),
            "{twice}"
        );
    }

    #[test]
    fn what_an_error_carries_can_be_asked() {
        let error = Error::new(ErrorKind::Rejected, "no")
            .with_condition("amqp:not-allowed")
            .with_tracking_id("t1")
            .with_transient(true)
            .with_source(std::io::Error::other("disk"));
        assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, "rejected"));
        assert_eq!((error.condition(), error.tracking_id()), (Some("amqp:not-allowed"), Some("t1")));
        assert!(error.is_transient() && !ErrorKind::Rejected.is_transient());
        assert_eq!(StdError::source(&error).map(ToString::to_string).as_deref(), Some("disk"));
        assert!(format!("{:?}", error.clone()).contains("amqp:not-allowed"));
    }

    #[test]
    fn an_error_can_cross_threads_and_is_small() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
