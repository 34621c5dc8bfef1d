//! What goes wrong, and what may come of it.

use serde_json::{Value, json};

use super::SUBJECT;

/// What is under way when something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Send,
    Receive,
}

/// Something that goes wrong while something is under way.
pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) name: &'static str,
    pub(super) trouble: Trouble,
    /// Events outlast the emulator.
    pub(super) is_durable: bool,
    /// Events of before are lost, so the log begins anew.
    pub(super) is_wiped: bool,
    /// What may come of it: `stored`, `received`, `waits`, or an error's code, with a question mark where it says that what was
    /// sent may have been stored.
    pub(super) outcomes: &'static [&'static str],
    /// Statuses that have to be told, in this order, among others. None: nothing is interrupted, and
    /// nothing is told.
    pub(super) told: &'static [&'static str],
}

pub(super) enum Trouble {
    Faults(Vec<Value>),
    /// The emulator says goodbye, and comes back a little later.
    Stop,
    /// The emulator falls, and comes back a little later.
    Kill,
}

/// A connection that was lost and came back under a sender.
const RECONNECTED: &[&str] = &["disconnected", "reconnecting", "connecting", "connected"];
/// The same, where it may have been noticed before anything needed the connection.
const NOTICED: &[&str] = &["disconnected", "connecting", "connected"];
/// A connection that was lost and came back under a receiver.
const RESUMED: &[&str] = &["disconnected", "reconnecting", "connecting", "connected", "resumed"];
/// A link that was lost and came back under a sender.
const ATTACHED: &[&str] = &["detached", "attached"];
/// The same under a receiver.
const LINK_RESUMED: &[&str] = &["detached", "resumed"];
const NOTHING: &[&str] = &[];
/// No connection until the deadline. What was sent may have left before the old connection was seen to be gone.
const REFUSED: &[&str] =
    &["timeout", "timeout?", "connect-failed", "connect-failed?", "connection-lost", "connection-lost?"];

/// All cases of an operation.
pub(super) fn cases(operation: Operation) -> Vec<Case> {
    match operation {
        Operation::Send => sends(),
        Operation::Receive => receives(),
    }
}

#[rustfmt::skip]
fn sends() -> Vec<Case> {
    let rows: Vec<Written> = vec![
        ("refuse", json!([{"kind": "refuse"}, mine(json!({"kind": "drop"}))]), REFUSED, NOTICED),
        ("drop, while nothing is under way", mine(json!({"kind": "drop"})), &["stored"], NOTICED),
        ("drop, once", mine(json!({"kind": "drop", "on": "send", "times": 1})), &["stored"], RECONNECTED),
        ("drop, always", mine(json!({"kind": "drop", "on": "send"})), &["connection-lost?", "timeout?"], RECONNECTED),
        ("half-open", mine(json!({"kind": "half-open"})), &["timeout?", "connection-lost?"], RECONNECTED),
        ("half-open, to the client", mine(json!({"kind": "half-open", "direction": "to-client"})), &["timeout?", "connection-lost?"], RECONNECTED),
        ("half-open, to the service", mine(json!({"kind": "half-open", "direction": "to-service"})), &["timeout?", "connection-lost?"], RECONNECTED),
        ("half-open, once", mine(json!({"kind": "half-open", "on": "send", "times": 1})), &["stored"], RECONNECTED),
        ("delay, 300 ms", mine(json!({"kind": "delay", "delayMs": 300, "jitterMs": 50})), &["stored"], NOTHING),
        ("delay, 5 s", mine(json!({"kind": "delay", "delayMs": 5000})), &["timeout?", "connection-lost?"], RECONNECTED),
        ("bandwidth, 4000 B/s", mine(json!({"kind": "bandwidth", "bytesPerSecond": 4000})), &["stored"], NOTHING),
        ("bandwidth, 20 B/s", mine(json!({"kind": "bandwidth", "bytesPerSecond": 20})), &["timeout?", "connection-lost?"], RECONNECTED),
        ("cut-frame, once", mine(json!({"kind": "cut-frame", "on": "sent", "times": 1})), &["stored"], RECONNECTED),
        ("lose-ack, once", mine(json!({"kind": "lose-ack", "times": 1})), &["stored"], ATTACHED),
        ("lose-ack, always", mine(json!({"kind": "lose-ack"})), &["timeout?"], ATTACHED),
        ("lose-ack and drop, once", mine(json!({"kind": "lose-ack", "then": "drop", "times": 1})), &["stored"], RECONNECTED),
        ("duplicate", mine(json!({"kind": "duplicate"})), &["stored"], NOTHING),
        ("busy, once", mine(json!({"kind": "busy", "on": "send", "times": 1})), &["stored"], &["throttled"]),
        ("busy, always", mine(json!({"kind": "busy", "on": "send"})), &["server-busy", "timeout"], &["throttled"]),
        ("detach, once", mine(json!({"kind": "detach", "on": "send", "times": 1})), &["stored"], ATTACHED),
        ("detach, while nothing is under way", mine(json!({"kind": "detach", "condition": "amqp:internal-error"})), &["stored"], ATTACHED),
        ("detach, always", mine(json!({"kind": "detach", "condition": "amqp:internal-error", "on": "send"})), &["internal?", "timeout?"], ATTACHED),
        ("detach for good", mine(json!({"kind": "detach", "condition": "com.microsoft:entity-disabled", "on": "send"})), &["rejected?"], ATTACHED),
        ("end, once", mine(json!({"kind": "end", "condition": "amqp:internal-error", "on": "send", "times": 1})), &["stored"], ATTACHED),
        ("close, once", mine(json!({"kind": "close", "condition": "amqp:internal-error", "on": "send", "times": 1})), &["stored"], RECONNECTED),
        ("close, as idle", mine(json!({"kind": "close"})), &["stored"], NOTICED),
        ("refuse-token, 401", json!([mine(json!({"kind": "refuse-token", "status": 401})), mine(json!({"kind": "expire-token"}))]), &["unauthorized", "unauthorized?"], &["detached", "token-refresh-failed", "token-refreshed", "attached"]),
        ("refuse-token, 503", json!([mine(json!({"kind": "refuse-token", "status": 503})), mine(json!({"kind": "expire-token"}))]), &["server-busy", "server-busy?", "timeout", "timeout?"], &["detached", "token-refresh-failed", "token-refreshed", "attached"]),
        ("expire-token", mine(json!({"kind": "expire-token"})), &["stored"], &["detached", "token-refreshed", "attached"]),
        ("steal-link", mine(json!({"kind": "steal-link"})), &["stored"], NOTHING),
        ("stop-partition", json!({"kind": "stop-partition", "partition": "0"}), &["timeout?"], ATTACHED),
        ("restart", json!({"kind": "restart"}), &["stored"], NOTICED),
        ("restart, down for 1 s", json!({"kind": "restart", "downMs": 1000}), &["stored"], NOTICED),
        (WIPED, json!({"kind": "restart", "loseData": true}), &["stored"], NOTICED),
        ("slow-disk, 500 ms", json!({"kind": "slow-disk", "delayMs": 500}), &["stored"], NOTHING),
        ("slow-disk, 3 s", json!({"kind": "slow-disk", "delayMs": 3000}), &["timeout?"], ATTACHED),
        ("skew-clock, 30 min ahead", json!([mine(json!({"kind": "skew-clock", "skewMs": 1_800_000})), mine(json!({"kind": "drop"}))]), &["unauthorized", "unauthorized?"], &["token-refresh-failed", "token-refreshed"]),
        ("skew-clock, 30 min behind", json!([mine(json!({"kind": "skew-clock", "skewMs": -1_800_000})), mine(json!({"kind": "drop"}))]), &["stored"], NOTICED),
    ];
    let mut cases: Vec<Case> = rows.into_iter().map(|row| faulty(Operation::Send, row)).collect();
    cases.extend(STOPS.map(|stop| stopped(Operation::Send, stop, &["stored"])));
    cases
}

#[rustfmt::skip]
fn receives() -> Vec<Case> {
    let rows: Vec<Written> = vec![
        ("refuse", json!([{"kind": "refuse"}, mine(json!({"kind": "drop"}))]), &["waits"], RESUMED),
        ("drop, while nothing is under way", mine(json!({"kind": "drop"})), &["received"], RESUMED),
        ("drop, once", mine(json!({"kind": "drop", "on": "receive", "times": 1})), &["received"], RESUMED),
        ("drop, always", mine(json!({"kind": "drop", "on": "receive"})), &["waits"], RESUMED),
        ("half-open", mine(json!({"kind": "half-open"})), &["waits"], RESUMED),
        ("half-open, to the client", mine(json!({"kind": "half-open", "direction": "to-client"})), &["waits"], RESUMED),
        ("half-open, to the service", mine(json!({"kind": "half-open", "direction": "to-service"})), &["received", "waits"], &["disconnected", "connecting", "connected", "resumed"]),
        ("half-open, once", mine(json!({"kind": "half-open", "on": "receive", "times": 1})), &["received"], RESUMED),
        ("delay, 300 ms", mine(json!({"kind": "delay", "delayMs": 300, "jitterMs": 50})), &["received"], NOTHING),
        ("delay, 5 s", mine(json!({"kind": "delay", "delayMs": 5000})), &["waits"], RESUMED),
        ("bandwidth, 4000 B/s", mine(json!({"kind": "bandwidth", "bytesPerSecond": 4000})), &["received"], NOTHING),
        ("bandwidth, 20 B/s", mine(json!({"kind": "bandwidth", "bytesPerSecond": 20})), &["waits"], RESUMED),
        ("cut-frame, once", mine(json!({"kind": "cut-frame", "on": "received", "times": 1})), &["received"], RESUMED),
        ("lose-ack, once", json!({"kind": "lose-ack", "times": 1}), &["received"], NOTHING),
        ("lose-ack and drop, once", json!({"kind": "lose-ack", "then": "drop", "times": 1}), &["received"], NOTHING),
        ("duplicate", json!({"kind": "duplicate"}), &["received"], NOTHING),
        ("busy, once", mine(json!({"kind": "busy", "on": "receive", "times": 1})), &["waits"], &["detached", "throttled", "resumed"]),
        ("busy, always", mine(json!({"kind": "busy", "on": "receive"})), &["waits"], &["detached", "throttled", "resumed"]),
        ("detach, once", mine(json!({"kind": "detach", "on": "receive", "times": 1})), &["received"], LINK_RESUMED),
        ("detach, while nothing is under way", mine(json!({"kind": "detach", "condition": "amqp:internal-error"})), &["received"], LINK_RESUMED),
        ("detach, always", mine(json!({"kind": "detach", "condition": "amqp:internal-error", "on": "receive"})), &["waits"], LINK_RESUMED),
        ("detach for good", mine(json!({"kind": "detach", "condition": "com.microsoft:entity-disabled", "on": "receive"})), &["rejected"], &["detached"]),
        ("end, once", mine(json!({"kind": "end", "condition": "amqp:internal-error", "on": "receive", "times": 1})), &["received"], LINK_RESUMED),
        ("close, once", mine(json!({"kind": "close", "condition": "amqp:internal-error", "on": "receive", "times": 1})), &["received"], RESUMED),
        ("close, as idle", mine(json!({"kind": "close"})), &["received"], &["disconnected", "connecting", "connected", "resumed"]),
        ("refuse-token, 401", json!([mine(json!({"kind": "refuse-token", "status": 401})), mine(json!({"kind": "expire-token"}))]), &["unauthorized"], &["detached", "token-refresh-failed", "token-refreshed"]),
        ("refuse-token, 503", json!([mine(json!({"kind": "refuse-token", "status": 503})), mine(json!({"kind": "expire-token"}))]), &["waits"], &["detached", "token-refresh-failed", "token-refreshed", "resumed"]),
        ("expire-token", mine(json!({"kind": "expire-token"})), &["received"], &["detached", "token-refreshed", "resumed"]),
        ("steal-link", mine(json!({"kind": "steal-link"})), &["ownership-lost"], &["detached"]),
        ("stop-partition", json!({"kind": "stop-partition", "partition": "0", "role": "receive"}), &["waits"], &["stalled", "resumed"]),
        ("restart", json!({"kind": "restart"}), &["received"], RESUMED),
        ("restart, down for 1 s", json!({"kind": "restart", "downMs": 1000}), &["received"], RESUMED),
        (WIPED, json!({"kind": "restart", "loseData": true}), &["invalid-position"], &["disconnected", "reconnecting", "connecting", "connected", "detached"]),
        ("slow-disk, 500 ms", json!({"kind": "slow-disk", "delayMs": 500}), &["received"], NOTHING),
        ("skew-clock, 30 min ahead", json!([mine(json!({"kind": "skew-clock", "skewMs": 1_800_000})), mine(json!({"kind": "drop"}))]), &["unauthorized"], &["token-refresh-failed", "token-refreshed"]),
        ("skew-clock, 30 min behind", json!([mine(json!({"kind": "skew-clock", "skewMs": -1_800_000})), mine(json!({"kind": "drop"}))]), &["received"], RESUMED),
    ];
    let mut cases: Vec<Case> = rows.into_iter().map(|row| faulty(Operation::Receive, row)).collect();
    cases.extend(STOPS.map(|stop| stopped(Operation::Receive, stop, if stop.2 { &["received"] } else { &["invalid-position"] })));
    cases
}

/// Name, fault or faults, what may come of it, what has to be told.
type Written = (&'static str, Value, &'static [&'static str], &'static [&'static str]);
/// Name, what happens, whether events outlast it.
type Stop = (&'static str, fn() -> Trouble, bool);

/// The one fault that loses what was stored.
const WIPED: &str = "restart, losing events";

fn faulty(operation: Operation, (name, faults, outcomes, told): Written) -> Case {
    let faults = match faults {
        Value::Array(faults) => faults,
        fault => vec![fault],
    };
    let trouble = Trouble::Faults(faults);
    Case { operation, name, trouble, is_durable: false, is_wiped: name == WIPED, outcomes, told }
}

fn stopped(
    operation: Operation,
    (name, trouble, is_durable): Stop,
    outcomes: &'static [&'static str],
) -> Case {
    Case {
        operation,
        name,
        trouble: trouble(),
        is_durable,
        is_wiped: !is_durable,
        outcomes,
        told: RECONNECTED,
    }
}

/// The whole emulator goes away; whether it keeps its events.
const STOPS: [Stop; 4] = [
    ("stopped for 1 s, data directory", || Trouble::Stop, true),
    ("stopped for 1 s, memory only", || Trouble::Stop, false),
    ("killed for 1 s, data directory", || Trouble::Kill, true),
    ("killed for 1 s, memory only", || Trouble::Kill, false),
];

/// Concerns the client that is looked at only.
fn mine(mut fault: Value) -> Value {
    fault["client"] = SUBJECT.into();
    fault
}
