//! What a failure means: its condition, what recovers from it, and the error that people see. One table.

use std::io;
use std::time::Duration;

use crate::amqp::{AmqpError, CloseReason, Outcome};
use crate::error::{Error, ErrorKind};

macro_rules! conditions {
    ($($name:ident = $text:literal => $recovery:expr, $kind:ident, $doc:literal;)+) => {
        $(
            #[doc = $doc]
            pub const $name: &str = $text;
        )+

        /// Condition, what recovers from it, and the kind of error when nothing did.
        const TABLE: &[(&str, Step, ErrorKind)] = &[$(($text, $recovery, ErrorKind::$kind)),+];
    };
}

conditions! {
    NOT_FOUND = "amqp:not-found" => Step::Fatal, NotFound, "The entity does not exist.";
    UNAUTHORIZED_ACCESS = "amqp:unauthorized-access" => Step::Fatal, Unauthorized, "The claim is missing or has expired.";
    AUTH_FAILED = "com.microsoft:auth-failed" => Step::Fatal, Unauthorized, "The token is wrong.";
    NOT_ALLOWED = "amqp:not-allowed" => Step::Fatal, Rejected, "The peer may not do this.";
    NOT_IMPLEMENTED = "amqp:not-implemented" => Step::Fatal, Rejected, "The service cannot do this.";
    RESOURCE_LIMIT_EXCEEDED = "amqp:resource-limit-exceeded" => Step::Fatal, QuotaExceeded, "A quota is used up.";
    RESOURCE_DELETED = "amqp:resource-deleted" => Step::Fatal, NotFound, "The entity was deleted.";
    RESOURCE_LOCKED = "amqp:resource-locked" => Step::Link, ServerBusy, "The entity is locked.";
    INTERNAL_ERROR = "amqp:internal-error" => Step::Link, Internal, "The service failed inside.";
    DECODE_ERROR = "amqp:decode-error" => Step::Fatal, Rejected, "A message cannot be decoded.";
    INVALID_FIELD = "amqp:invalid-field" => Step::Fatal, Rejected, "A field has a value that it may not have.";
    FRAME_SIZE_TOO_SMALL = "amqp:frame-size-too-small" => Step::Fatal, Protocol, "A frame is larger than the peer takes.";
    ILLEGAL_STATE = "amqp:illegal-state" => Step::Connection, Protocol, "The peer may not do this now.";
    PRECONDITION_FAILED_AMQP = "amqp:precondition-failed" => Step::Fatal, Rejected, "A precondition does not hold.";
    LINK_STOLEN = "amqp:link:stolen" => Step::Fatal, OwnershipLost, "Another receiver took the partition.";
    LINK_DETACH_FORCED = "amqp:link:detach-forced" => Step::Link, ConnectionLost, "The service let go of the link.";
    LINK_MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded" => Step::Fatal, MessageTooLarge, "The message is larger than the link takes.";
    LINK_TRANSFER_LIMIT_EXCEEDED = "amqp:link:transfer-limit-exceeded" => Step::Link, Protocol, "More was sent than there was credit for.";
    CONNECTION_FORCED = "amqp:connection:forced" => Step::Connection, ConnectionLost, "The service closed the connection.";
    CONNECTION_FRAMING_ERROR = "amqp:connection:framing-error" => Step::Connection, Protocol, "A frame is malformed.";
    SESSION_WINDOW_VIOLATION = "amqp:session:window-violation" => Step::Connection, Protocol, "More was sent than the session's window allows.";
    SESSION_ERRANT_LINK = "amqp:session:errant-link" => Step::Connection, Protocol, "Something arrived for a detached link.";
    SESSION_HANDLE_IN_USE = "amqp:session:handle-in-use" => Step::Connection, Protocol, "A handle was used twice.";
    SESSION_UNATTACHED_HANDLE = "amqp:session:unattached-handle" => Step::Connection, Protocol, "A handle is not attached.";
    SERVER_BUSY = "com.microsoft:server-busy" => Step::None, ServerBusy, "The entity is throttled.";
    TIMEOUT = "com.microsoft:timeout" => Step::None, Timeout, "The service took too long.";
    OPERATION_CANCELLED = "com.microsoft:operation-cancelled" => Step::None, Internal, "The service cancelled the operation.";
    ARGUMENT_ERROR = "com.microsoft:argument-error" => Step::Fatal, InvalidArgument, "An argument, such as a position, is wrong.";
    ARGUMENT_OUT_OF_RANGE = "com.microsoft:argument-out-of-range" => Step::Fatal, InvalidArgument, "An argument, such as a partition, is out of range.";
    ENTITY_DISABLED = "com.microsoft:entity-disabled" => Step::Fatal, Rejected, "The entity is disabled.";
    ENTITY_UPDATED = "com.microsoft:entity-updated" => Step::Link, ConnectionLost, "The entity was changed.";
    PARTITION_NOT_OWNED = "com.microsoft:partition-not-owned" => Step::Link, ConnectionLost, "The partition is served elsewhere now.";
    PUBLISHER_REVOKED = "com.microsoft:publisher-revoked" => Step::Fatal, Unauthorized, "The publisher may no longer publish.";
    STORE_LOCK_LOST = "com.microsoft:store-lock-lost" => Step::Link, ConnectionLost, "The partition moves.";
    PRECONDITION_FAILED = "com.microsoft:precondition-failed" => Step::Fatal, Rejected, "A precondition does not hold.";
    CONTAINER_CLOSE = "com.microsoft:container-close" => Step::Connection, ConnectionLost, "The entity moves to another broker.";
    INVALID_OFFSET = "com.microsoft:georeplication:invalid-offset" => Step::Fatal, InvalidPosition, "The offset is of another kind of hub.";
    OUT_OF_ORDER_SEQUENCE = "com.microsoft:out-of-order-sequence" => Step::Fatal, Rejected, "An idempotent producer left numbers out.";
    PRODUCER_EPOCH_STOLEN = "com.microsoft:producer-epoch-stolen" => Step::Fatal, OwnershipLost, "Another producer took over.";
}

/// What has to be done before the failed operation is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing: the same link can be used again.
    None,
    /// The link must be attached anew.
    Link,
    /// The connection must be made anew.
    Connection,
    /// Trying again does not help.
    Fatal(ErrorKind),
}

impl Recovery {
    /// The more thorough of the two: for a detached link at least the link is attached anew, whatever
    /// the condition says.
    #[must_use]
    pub fn at_least(self, other: Recovery) -> Recovery {
        let weight = |recovery| match recovery {
            Recovery::None => 0,
            Recovery::Link => 1,
            Recovery::Connection => 2,
            Recovery::Fatal(_) => 3,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

/// What recovers from an error of the service.
pub fn classify(error: &AmqpError) -> Recovery {
    let (step, kind) = look_up(error);
    step.recovery(kind)
}

/// What recovers from the loss of a link or session, of which `error` is the reason.
pub fn classify_detach(error: &AmqpError) -> Recovery {
    let (step, kind) = look_up(error);
    match step.recovery(kind).at_least(Recovery::Link) {
        // The service says "connection:forced" of single links too, such as those to `$cbs` that it thinks are idle, and an
        // entity may move alone. Only when the two sides disagree about the protocol the connection is in doubt.
        Recovery::Connection if kind != ErrorKind::Protocol => Recovery::Link,
        recovery => recovery,
    }
}

/// Whether the service let go of a link or connection because nothing used it, which is no failure.
pub fn is_idle(error: &AmqpError) -> bool {
    const TEXTS: [&str; 3] =
        ["was inactive for more than the allowed", "did not have any active links", "IdleTimerExpired"];
    let description = error.description.as_deref().unwrap_or_default();
    matches!(error.condition.as_str(), CONNECTION_FORCED | LINK_DETACH_FORCED)
        && TEXTS.iter().any(|text| find(description, text).is_some())
}

/// What recovers from the end of a connection.
pub fn classify_close(reason: &CloseReason) -> Recovery {
    match reason {
        CloseReason::Local => Recovery::Fatal(ErrorKind::Closed),
        CloseReason::Remote(Some(error)) => classify(error).at_least(Recovery::Connection),
        // The outcome "sys-temp" (RFC 4422's temporary failure) passes.
        CloseReason::Sasl(code) if *code != SASL_TEMPORARY => Recovery::Fatal(ErrorKind::Unauthorized),
        CloseReason::NotAmqp => Recovery::Fatal(ErrorKind::ConnectFailed),
        _ => Recovery::Connection,
    }
}

/// What recovers from a failure of the transport.
pub fn classify_io(error: &io::Error) -> Recovery {
    match error.kind() {
        // What TLS says of a certificate that it does not trust, and a resolver of a name that is none.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => {
            Recovery::Fatal(ErrorKind::ConnectFailed)
        }
        _ => Recovery::Connection,
    }
}

/// The error for people, and for programs, of an error of the service.
pub fn error(error: &AmqpError) -> Error {
    let (step, kind) = look_up(error);
    let condition = error.condition.as_str();
    let description = error.description.as_deref().unwrap_or_default();
    let text = match find(description, TRACKING) {
        Some(at) => &description[..at],
        None => description,
    };
    let text = text.trim_end_matches(['(', ' ', '\r', '\n', '\t']);
    let message = if text.is_empty() { format!("the service says {condition}") } else { text.to_owned() };
    let mut error = Error::new(kind, message).with_condition(condition).with_transient(step != Step::Fatal);
    if let Some(tracking_id) = word_behind(description, TRACKING) {
        error = error.with_tracking_id(tracking_id);
    }
    if let Some(time) = word_behind(description, SAID_AT) {
        error = error.with_said_at(time);
    }
    if kind == ErrorKind::ServerBusy {
        let seconds = word_behind(description, WAIT).and_then(|word| word.parse::<i64>().ok());
        let wait = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        error = error.with_retry_after(wait.map(|seconds| Duration::from_secs(seconds.into())));
    }
    error
}

/// The error of a connection's end.
pub fn close_error(reason: &CloseReason) -> Error {
    let lost = |message: &str| Error::new(ErrorKind::ConnectionLost, message);
    match reason {
        CloseReason::Local => Error::new(ErrorKind::Closed, "the connection was closed by this side"),
        CloseReason::Remote(Some(remote)) => error(remote),
        CloseReason::Remote(None) => lost("the service closed the connection without a reason"),
        CloseReason::Protocol(broken) => {
            Error::new(ErrorKind::Protocol, format!("the peer broke the protocol: {broken}"))
                .with_condition(broken.condition.as_str())
                .with_transient(true)
        }
        CloseReason::Idle => lost("nothing was heard from the service for too long"),
        CloseReason::HandshakeTimeout => {
            Error::new(ErrorKind::ConnectFailed, "the service did not finish the opening handshake in time")
        }
        CloseReason::Sasl(code) => {
            let message = format!("the service refused to authenticate the connection (SASL outcome {code})");
            Error::new(ErrorKind::Unauthorized, message).with_transient(*code == SASL_TEMPORARY)
        }
        CloseReason::NotAmqp => {
            let message =
                "the peer does not speak AMQP 1.0: check host, port and whether TLS is expected there";
            Error::new(ErrorKind::ConnectFailed, message).with_transient(false)
        }
    }
}

/// The error of a transport's failure: while it was made (`connecting`) or later.
pub fn io_error(source: io::Error, connecting: bool) -> Error {
    let kind = if connecting { ErrorKind::ConnectFailed } else { ErrorKind::ConnectionLost };
    let fatal = matches!(classify_io(&source), Recovery::Fatal(_));
    Error::new(kind, source.to_string()).with_transient(!fatal).with_source(source)
}

/// The error of a delivery's outcome; `None` when it was accepted.
pub fn outcome_error(outcome: &Outcome) -> Option<Error> {
    let gave_back = |message: &str| Some(Error::new(ErrorKind::Rejected, message).with_transient(true));
    match outcome {
        Outcome::Accepted => None,
        Outcome::Rejected(Some(rejected)) => Some(error(rejected)),
        Outcome::Rejected(None) => {
            Some(Error::new(ErrorKind::Rejected, "the service rejected it without a reason"))
        }
        Outcome::Released => gave_back("the service released it without storing it"),
        Outcome::Modified { .. } => gave_back("the service gave it back without storing it"),
        Outcome::Unknown => gave_back("the service does not say whether it was stored"),
    }
}

/// The error of a request that was answered with a status other than success.
pub fn status_error(status: i64, condition: Option<&str>, description: &str) -> Error {
    let condition = condition.unwrap_or(match status {
        400 => ARGUMENT_ERROR,
        401 => UNAUTHORIZED_ACCESS,
        403 => RESOURCE_LIMIT_EXCEEDED,
        404 => NOT_FOUND,
        408 => TIMEOUT,
        410 => LINK_STOLEN,
        501 => NOT_IMPLEMENTED,
        503 => SERVER_BUSY,
        _ => INTERNAL_ERROR,
    });
    let description = if description.is_empty() {
        format!("the service answered with status {status}")
    } else {
        description.to_owned()
    };
    let answered = error(&AmqpError::new(condition.to_owned(), description));
    // Some failed tokens come with a condition of their own, but the status is what counts.
    if status == 401 && answered.kind() != ErrorKind::Unauthorized {
        return answered.with_kind(ErrorKind::Unauthorized).with_transient(false);
    }
    answered
}

/// Whether a token was refused for what it is, not for what it is meant for: it would be refused everywhere. Both come with the same
/// status and condition; the text tells them apart.
pub fn is_broken_token(error: &Error) -> bool {
    let text = error.message();
    error.kind() == ErrorKind::Unauthorized && BROKEN_TOKEN.iter().any(|broken| text.starts_with(broken))
}

const BROKEN_TOKEN: [&str; 3] = ["InvalidSignature:", "ExpiredToken:", "MalformedToken:"];

/// The SASL outcome of a failure that passes.
const SASL_TEMPORARY: u8 = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    None,
    Link,
    Connection,
    Fatal,
}

impl Step {
    fn recovery(self, kind: ErrorKind) -> Recovery {
        match self {
            Step::None => Recovery::None,
            Step::Link => Recovery::Link,
            Step::Connection => Recovery::Connection,
            Step::Fatal => Recovery::Fatal(kind),
        }
    }
}

fn look_up(error: &AmqpError) -> (Step, ErrorKind) {
    let condition = error.condition.as_str();
    let description = error.description.as_deref().unwrap_or_default();
    match condition {
        // One condition for every wrong argument; only the text tells which.
        ARGUMENT_ERROR | ARGUMENT_OUT_OF_RANGE => {
            if find(description, "specified partition is invalid").is_some() {
                return (Step::Fatal, ErrorKind::NotFound);
            }
            let positions =
                ["The supplied offset", "The supplied sequence number", "not a valid amqp filter"];
            if positions.iter().any(|text| find(description, text).is_some()) {
                return (Step::Fatal, ErrorKind::InvalidPosition);
            }
        }
        // What AMQP has a peer say that has heard nothing for too long (2.4.5): a network that lost it all, and no quota.
        RESOURCE_LIMIT_EXCEEDED if find(description, "idle").is_some() => {
            return (Step::Connection, ErrorKind::ConnectionLost);
        }
        _ => {}
    }
    TABLE
        .iter()
        .find(|(known, ..)| *known == condition)
        .map_or((Step::Link, ErrorKind::Internal), |(_, step, kind)| (*step, *kind))
}

/// Where `part` begins in `text`. A simple search: these texts are short, and a page would pay for a clever one.
fn find(text: &str, part: &str) -> Option<usize> {
    text.as_bytes().windows(part.len()).position(|window| window == part.as_bytes())
}

/// What begins the trailer ` TrackingId:…, SystemTracker:…, Timestamp:…` of a description.
const TRACKING: &str = "TrackingId:";
/// What the service's clock shows, in UTC, stands behind it.
const SAID_AT: &str = "Timestamp:";
/// "Please wait 4 seconds and try again."
const WAIT: &str = "Please wait ";

/// The word that follows `mark`.
fn word_behind<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let at = find(text, mark)? + mark.len();
    text[at..].split([',', ' ', '\n', ')']).next().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(condition: &'static str, description: &str) -> AmqpError {
        AmqpError::new(condition, description)
    }

    #[test]
    fn conditions_say_what_recovers() {
        for (condition, recovery) in [
            (SERVER_BUSY, Recovery::None),
            (LINK_DETACH_FORCED, Recovery::Link),
            (CONNECTION_FORCED, Recovery::Connection),
            (LINK_STOLEN, Recovery::Fatal(ErrorKind::OwnershipLost)),
            (NOT_FOUND, Recovery::Fatal(ErrorKind::NotFound)),
            ("com.example:new", Recovery::Link),
        ] {
            assert_eq!(classify(&service(condition, "")), recovery, "{condition}");
        }
        assert_eq!(Recovery::None.at_least(Recovery::Link), Recovery::Link);
        assert_eq!(Recovery::Connection.at_least(Recovery::Link), Recovery::Connection);
        let fatal = Recovery::Fatal(ErrorKind::NotFound);
        assert_eq!(fatal.at_least(Recovery::Connection), fatal);
    }

    #[test]
    fn a_service_that_has_heard_nothing_is_connected_to_again() {
        let silent = "The peer was silent for longer than the announced idle-time-out.";
        let said = service(RESOURCE_LIMIT_EXCEEDED, silent);
        assert_eq!(classify_close(&CloseReason::Remote(Some(said.clone()))), Recovery::Connection);
        assert_eq!(error(&said).kind(), ErrorKind::ConnectionLost);
        assert!(error(&said).is_transient());
        let full = service(RESOURCE_LIMIT_EXCEEDED, "The namespace has 5 connections, more are not allowed.");
        assert_eq!(classify(&full), Recovery::Fatal(ErrorKind::QuotaExceeded));
    }

    #[test]
    fn no_condition_stands_in_the_table_twice() {
        let mut names: Vec<_> = TABLE.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn the_errors_transience_agrees_with_the_recovery() {
        for (condition, ..) in TABLE {
            let fatal = matches!(classify(&service(condition, "")), Recovery::Fatal(_));
            assert_eq!(error(&service(condition, "")).is_transient(), !fatal, "{condition}");
        }
    }

    #[test]
    fn wrong_arguments_are_told_apart_by_their_text() {
        let partition = "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and 3.";
        for (condition, text, kind) in [
            (ARGUMENT_OUT_OF_RANGE, partition, ErrorKind::NotFound),
            (ARGUMENT_ERROR, "The supplied offset '5' is invalid.", ErrorKind::InvalidPosition),
            (
                ARGUMENT_ERROR,
                "The filter 'x' is not a valid amqp filter for EventHub entities",
                ErrorKind::InvalidPosition,
            ),
            (ARGUMENT_ERROR, "something else", ErrorKind::InvalidArgument),
        ] {
            assert_eq!(error(&service(condition, text)).kind(), kind, "{text}");
        }
    }

    #[test]
    fn the_tracking_trailer_becomes_the_tracking_id() {
        let error = error(&service(
            NOT_FOUND,
            "The messaging entity 'sb://h/orders' could not be found. TrackingId:8f3_G12, SystemTracker:ns:eventhub:orders, Timestamp:2026-01-01T00:00:00",
        ));
        assert_eq!(error.message(), "The messaging entity 'sb://h/orders' could not be found.");
        assert_eq!(error.tracking_id(), Some("8f3_G12"));
        assert_eq!(error.condition(), Some("amqp:not-found"));
        assert_eq!(error.said_at(), Some("2026-01-01T00:00:00"));
    }

    #[test]
    fn how_long_a_busy_service_wants_to_be_left_alone_is_kept() {
        let asked = |text| error(&service(SERVER_BUSY, text)).retry_after().map(|delay| delay.as_secs());
        assert_eq!(asked("The request was terminated. Please wait 10 seconds and try again."), Some(10));
        for text in ["", "Please wait a while", "Please wait ", "Please wait 99999999999 seconds"] {
            assert_eq!(asked(text), None, "{text}");
        }
        assert_eq!(error(&service(TIMEOUT, "Please wait 4 seconds")).retry_after(), None);
    }

    #[test]
    fn what_the_service_closes_for_being_idle_is_told_from_failures() {
        let link = "The link 'G2:1:2' is force detached by the broker because of errors occurred in publisher(link3). \
                    Detach origin: AmqpMessagePublisher.IdleTimerExpired: Idle timeout: 00:30:00. TrackingId:a_G2";
        for (condition, text, is_so) in [
            (
                CONNECTION_FORCED,
                "The connection was inactive for more than the allowed 300000 milliseconds and is closed by container 'LinkTracker'.",
                true,
            ),
            (
                CONNECTION_FORCED,
                "The connection was closed by container 'a_G0' because it did not have any active links in the past 300000 milliseconds.",
                true,
            ),
            (LINK_DETACH_FORCED, link, true),
            (LINK_DETACH_FORCED, "maintenance", false),
            (CONNECTION_FORCED, "", false),
            (INTERNAL_ERROR, link, false),
        ] {
            assert_eq!(is_idle(&service(condition, text)), is_so, "{condition} {text}");
        }
    }

    #[test]
    fn a_lost_link_takes_its_connection_along_only_when_the_connection_is_in_doubt() {
        for (condition, recovery) in [
            (SERVER_BUSY, Recovery::Link),
            (CONNECTION_FORCED, Recovery::Link),
            (LINK_DETACH_FORCED, Recovery::Link),
            (SESSION_WINDOW_VIOLATION, Recovery::Connection),
            (CONTAINER_CLOSE, Recovery::Link),
            (LINK_STOLEN, Recovery::Fatal(ErrorKind::OwnershipLost)),
        ] {
            assert_eq!(classify_detach(&service(condition, "")), recovery, "{condition}");
        }
    }

    #[test]
    fn ends_of_connections_are_told_apart() {
        let forced = CloseReason::Remote(Some(service(LINK_DETACH_FORCED, "upgrade")));
        for (reason, recovery, kind, transient) in [
            (CloseReason::Local, Recovery::Fatal(ErrorKind::Closed), ErrorKind::Closed, false),
            (CloseReason::Remote(None), Recovery::Connection, ErrorKind::ConnectionLost, true),
            (forced, Recovery::Connection, ErrorKind::ConnectionLost, true),
            (CloseReason::Idle, Recovery::Connection, ErrorKind::ConnectionLost, true),
            (CloseReason::HandshakeTimeout, Recovery::Connection, ErrorKind::ConnectFailed, true),
            (
                CloseReason::Protocol(service(ILLEGAL_STATE, "")),
                Recovery::Connection,
                ErrorKind::Protocol,
                true,
            ),
            (CloseReason::Sasl(1), Recovery::Fatal(ErrorKind::Unauthorized), ErrorKind::Unauthorized, false),
            (CloseReason::Sasl(4), Recovery::Connection, ErrorKind::Unauthorized, true),
            (
                CloseReason::NotAmqp,
                Recovery::Fatal(ErrorKind::ConnectFailed),
                ErrorKind::ConnectFailed,
                false,
            ),
        ] {
            assert_eq!(classify_close(&reason), recovery, "{reason:?}");
            let error = close_error(&reason);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{reason:?}");
        }
    }

    #[test]
    fn transport_failures_are_tried_again_unless_they_cannot_pass() {
        let refused = io_error(io::ErrorKind::ConnectionRefused.into(), true);
        assert_eq!((refused.kind(), refused.is_transient()), (ErrorKind::ConnectFailed, true));
        let reset = io_error(io::ErrorKind::ConnectionReset.into(), false);
        assert_eq!((reset.kind(), reset.is_transient()), (ErrorKind::ConnectionLost, true));
        let certificate = io_error(io::Error::new(io::ErrorKind::InvalidData, "UnknownIssuer"), true);
        assert!(!certificate.is_transient() && certificate.to_string().contains("UnknownIssuer"));
    }

    #[test]
    fn outcomes_other_than_accepted_are_errors() {
        assert!(outcome_error(&Outcome::Accepted).is_none());
        for (outcome, kind, transient) in [
            (Outcome::Rejected(None), ErrorKind::Rejected, false),
            (Outcome::Rejected(Some(service(SERVER_BUSY, "busy"))), ErrorKind::ServerBusy, true),
            (Outcome::Released, ErrorKind::Rejected, true),
            (
                Outcome::Modified { delivery_failed: true, undeliverable_here: false },
                ErrorKind::Rejected,
                true,
            ),
            (Outcome::Unknown, ErrorKind::Rejected, true),
        ] {
            let error = outcome_error(&outcome).unwrap();
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{outcome:?}");
        }
    }

    #[test]
    fn statuses_stand_for_conditions() {
        for (status, condition, kind) in [
            (400, None, ErrorKind::InvalidArgument),
            (401, None, ErrorKind::Unauthorized),
            (401, Some(NOT_FOUND), ErrorKind::Unauthorized),
            (401, Some(AUTH_FAILED), ErrorKind::Unauthorized),
            (404, None, ErrorKind::NotFound),
            (500, None, ErrorKind::Internal),
            (503, None, ErrorKind::ServerBusy),
            (503, Some(TIMEOUT), ErrorKind::Timeout),
            (299, None, ErrorKind::Internal),
        ] {
            assert_eq!(status_error(status, condition, "text").kind(), kind, "{status}");
        }
        assert!(status_error(418, None, "").to_string().contains("418"));
    }

    #[test]
    fn a_broken_token_is_told_from_one_that_does_not_reach_so_far() {
        let is_broken = |status, text| is_broken_token(&status_error(status, Some(AUTH_FAILED), text));
        assert!(is_broken(401, "InvalidSignature: The token has an invalid signature."));
        assert!(is_broken(
            401,
            "ExpiredToken: The token is expired. Expiration time: '2023-05-21 23:58:30Z'"
        ));
        assert!(is_broken(401, "MalformedToken: The token has no signature."));
        assert!(!is_broken(
            401,
            "InvalidAudience: The authorization header contains a token with a wrong audience."
        ));
        assert!(!is_broken(
            401,
            "Unauthorized access. 'Listen' claim(s) are required to perform this operation."
        ));
        assert!(!is_broken_token(&status_error(500, None, "InvalidSignature: no")));
    }
}
